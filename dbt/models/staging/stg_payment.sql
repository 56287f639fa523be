with source as (

    select * from {{ source('raw', 'payment') }}

),

renamed as (

    select
        cast(payment_id as integer) as payment_id,
        cast(customer_id as integer) as customer_id,
        cast(staff_id as integer) as staff_id,
        cast(rental_id as integer) as rental_id,
        cast(amount as decimal(7, 2)) as amount,
        cast(payment_date as {{ timestamp_ntz() }}) as paid_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
