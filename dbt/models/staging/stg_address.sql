with source as (

    select * from {{ source('raw', 'address') }}

),

renamed as (

    select
        cast(address_id as integer) as address_id,
        {{ text('address') }} as address,
        {{ text('address2') }} as address2,
        {{ text('district') }} as district,
        cast(city_id as integer) as city_id,
        {{ text('postal_code') }} as postal_code,
        {{ text('phone') }} as phone,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
