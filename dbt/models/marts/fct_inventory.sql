{{ config(materialized='incremental', incremental_strategy='changed_keys', unique_key='inventory_id') }}

with inventory as (

    select * from {{ ref('stg_inventory') }}

),

rentals as (

    select * from {{ ref('stg_rental') }}

),

{% if is_incremental() %}

    changed_rentals as (

        select rental_id
        from {{ source('history', 'rental') }}
        {{ since_watermark() }}

    ),

    -- every version of a changed rental, so that the copy it left is counted anew too
    changed as (

        select cast(inventory_id as integer) as inventory_id
        from {{ source('history', 'inventory') }}
        {{ since_watermark() }}
        union
        select cast(versions.inventory_id as integer) as inventory_id
        from {{ source('history', 'rental') }} as versions
        inner join changed_rentals on versions.rental_id = changed_rentals.rental_id
        where versions.inventory_id is not null

    ),

{% else %}

    changed as (

        select inventory_id from inventory

    ),

{% endif %}

demand as (

    select
        rentals.inventory_id,
        count(*) as rentals,
        min(rentals.rented_at) as first_rented_at,
        max(rentals.rented_at) as last_rented_at,
        sum(case when rentals.returned_at is null then 1 else 0 end) as open_rentals,
        max(rentals.synced_at) as synced_at
    from rentals
    inner join changed on rentals.inventory_id = changed.inventory_id
    group by rentals.inventory_id

)

select
    changed.inventory_id,
    inventory.film_id,
    inventory.store_id,
    cast(coalesce(demand.rentals, 0) as bigint) as rentals,
    demand.first_rented_at,
    demand.last_rented_at,
    coalesce(demand.open_rentals, 0) > 0 as is_out,
    greatest(inventory.synced_at, coalesce(demand.synced_at, inventory.synced_at)) as synced_at
from changed
left join inventory on changed.inventory_id = inventory.inventory_id
left join demand on changed.inventory_id = demand.inventory_id
