with source as (

    select * from {{ source('raw', 'store') }}

),

renamed as (

    select
        cast(store_id as integer) as store_id,
        cast(manager_staff_id as integer) as manager_staff_id,
        cast(address_id as integer) as address_id,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
