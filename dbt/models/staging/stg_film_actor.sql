with source as (

    select * from {{ source('raw', 'film_actor') }}

),

renamed as (

    select
        cast(actor_id as integer) as actor_id,
        cast(film_id as integer) as film_id,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
