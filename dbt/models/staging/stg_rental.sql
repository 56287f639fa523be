with source as (

    select * from {{ source('raw', 'rental') }}

),

renamed as (

    select
        cast(rental_id as integer) as rental_id,
        cast(rental_date as {{ timestamp_ntz() }}) as rented_at,
        cast(inventory_id as integer) as inventory_id,
        cast(customer_id as integer) as customer_id,
        cast(return_date as {{ timestamp_ntz() }}) as returned_at,
        cast(staff_id as integer) as staff_id,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
