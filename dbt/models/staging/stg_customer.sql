with source as (

    select * from {{ source('raw', 'customer') }}

),

renamed as (

    select
        cast(customer_id as integer) as customer_id,
        cast(store_id as integer) as store_id,
        {{ text('first_name') }} as first_name,
        {{ text('last_name') }} as last_name,
        {{ text('email') }} as email,
        cast(address_id as integer) as address_id,
        cast(active as integer) = 1 as is_active,
        cast(create_date as date) as created_on,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
