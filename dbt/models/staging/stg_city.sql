with source as (

    select * from {{ source('raw', 'city') }}

),

renamed as (

    select
        cast(city_id as integer) as city_id,
        {{ text('city') }} as city_name,
        cast(country_id as integer) as country_id,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
