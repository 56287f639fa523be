with source as (

    select * from {{ source('raw', 'film_category') }}

),

renamed as (

    select
        cast(film_id as integer) as film_id,
        cast(category_id as integer) as category_id,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
