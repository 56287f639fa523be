with source as (

    select * from {{ source('raw', 'actor') }}

),

renamed as (

    select
        cast(actor_id as integer) as actor_id,
        {{ text('first_name') }} as first_name,
        {{ text('last_name') }} as last_name,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
