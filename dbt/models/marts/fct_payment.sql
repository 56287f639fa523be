{{ config(
    materialized='incremental', incremental_strategy='changed_keys', unique_key='payment_id', cluster_by=['paid_on']
) }}

with payments as (

    select * from {{ ref('stg_payment') }}

),

rentals as (

    select * from {{ ref('stg_rental') }}

),

inventory as (

    select * from {{ ref('stg_inventory') }}

),

{% if is_incremental() %}

    changed_inventory as (

        select cast(inventory_id as integer) as inventory_id
        from {{ source('history', 'inventory') }}
        {{ since_watermark() }}

    ),

    changed_rentals as (

        select cast(rental_id as integer) as rental_id
        from {{ source('history', 'rental') }}
        {{ since_watermark() }}
        union
        select rentals.rental_id
        from rentals
        inner join changed_inventory on rentals.inventory_id = changed_inventory.inventory_id

    ),

    changed as (

        select cast(payment_id as integer) as payment_id
        from {{ source('history', 'payment') }}
        {{ since_watermark() }}
        union
        select payments.payment_id
        from payments
        inner join changed_rentals on payments.rental_id = changed_rentals.rental_id

    )

{% else %}

    changed as (

        select payment_id from payments

    )

{% endif %}

select
    changed.payment_id,
    payments.customer_id,
    payments.staff_id,
    payments.rental_id,
    rentals.inventory_id,
    inventory.film_id,
    inventory.store_id as inventory_store_id,
    payments.amount,
    payments.paid_at,
    cast(payments.paid_at as date) as paid_on,
    greatest(
        payments.synced_at,
        coalesce(rentals.synced_at, payments.synced_at),
        coalesce(inventory.synced_at, payments.synced_at)
    ) as synced_at
from changed
left join payments on changed.payment_id = payments.payment_id
left join rentals on payments.rental_id = rentals.rental_id
left join inventory on rentals.inventory_id = inventory.inventory_id
