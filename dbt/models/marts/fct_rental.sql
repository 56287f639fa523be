{{ config(
    materialized='incremental', incremental_strategy='changed_keys', unique_key='rental_id', cluster_by=['rented_on']
) }}

with rentals as (

    select * from {{ ref('stg_rental') }}

),

inventory as (

    select * from {{ ref('stg_inventory') }}

),

films as (

    select * from {{ ref('stg_film') }}

),

{% if is_incremental() %}

    changed_films as (

        select cast(film_id as integer) as film_id
        from {{ source('history', 'film') }}
        {{ since_watermark() }}

    ),

    changed_inventory as (

        select cast(inventory_id as integer) as inventory_id
        from {{ source('history', 'inventory') }}
        {{ since_watermark() }}
        union
        select inventory.inventory_id
        from inventory
        inner join changed_films on inventory.film_id = changed_films.film_id

    ),

    changed as (

        select cast(rental_id as integer) as rental_id
        from {{ source('history', 'rental') }}
        {{ since_watermark() }}
        union
        select rentals.rental_id
        from rentals
        inner join changed_inventory on rentals.inventory_id = changed_inventory.inventory_id

    )

{% else %}

    changed as (

        select rental_id from rentals

    )

{% endif %},

dated as (

    select
        rentals.*,
        inventory.film_id,
        inventory.store_id as inventory_store_id,
        films.rental_duration_days,
        cast(
            {{ dbt.dateadd('day', 'films.rental_duration_days', 'rentals.rented_at') }} as {{ timestamp_ntz() }}
        ) as due_at,
        greatest(
            rentals.synced_at,
            coalesce(inventory.synced_at, rentals.synced_at),
            coalesce(films.synced_at, rentals.synced_at)
        ) as latest_synced_at
    from rentals
    left join inventory on rentals.inventory_id = inventory.inventory_id
    left join films on inventory.film_id = films.film_id

)

select
    changed.rental_id,
    dated.customer_id,
    dated.staff_id,
    dated.inventory_id,
    dated.film_id,
    dated.inventory_store_id,
    dated.rented_at,
    cast(dated.rented_at as date) as rented_on,
    dated.due_at,
    dated.returned_at,
    coalesce(dated.returned_at is null, false) as is_out,
    coalesce(dated.returned_at > dated.due_at, false) as is_returned_late,
    cast({{ dbt.datediff('dated.rented_at', 'dated.returned_at', 'second') }} as bigint) as seconds_out,
    dated.latest_synced_at as synced_at
from changed
left join dated on changed.rental_id = dated.rental_id
