with source as (

    select * from {{ source('raw', 'staff') }}

),

renamed as (

    select
        cast(staff_id as integer) as staff_id,
        {{ text('first_name') }} as first_name,
        {{ text('last_name') }} as last_name,
        cast(address_id as integer) as address_id,
        {{ text('email') }} as email,
        cast(store_id as integer) as store_id,
        cast(active as boolean) as is_active,
        {{ text('username') }} as username,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
