with source as (

    select * from {{ source('raw', 'country') }}

),

renamed as (

    select
        cast(country_id as integer) as country_id,
        {{ text('country') }} as country_name,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
