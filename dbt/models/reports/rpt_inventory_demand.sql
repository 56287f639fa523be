with inventory as (

    select * from {{ ref('fct_inventory') }}

),

films as (

    select * from {{ ref('dim_film') }}

),

rentals as (

    select
        film_id,
        inventory_store_id,
        rented_at,
        max(rented_at) over () as last_rented_at
    from {{ ref('fct_rental') }}

),

recent as (

    select
        film_id,
        inventory_store_id as store_id,
        count(*) as rentals_90_days
    from rentals
    where rented_at > {{ dbt.dateadd('day', -90, 'last_rented_at') }}
    group by film_id, inventory_store_id

),

stock as (

    select
        film_id,
        store_id,
        count(*) as copies,
        sum(case when is_out then 1 else 0 end) as copies_out,
        sum(rentals) as rentals,
        max(last_rented_at) as last_rented_at
    from inventory
    group by film_id, store_id

)

select
    stock.film_id,
    films.title,
    films.category_name,
    stock.store_id,
    cast(stock.copies as bigint) as copies,
    cast(stock.copies_out as bigint) as copies_out,
    cast(stock.copies - stock.copies_out as bigint) as copies_available,
    cast(stock.rentals as bigint) as rentals,
    cast(coalesce(recent.rentals_90_days, 0) as bigint) as rentals_90_days,
    cast(round(cast(coalesce(recent.rentals_90_days, 0) as double precision) / stock.copies, 2) as decimal(8, 2))
        as rentals_90_days_per_copy,
    stock.last_rented_at,
    case
        when stock.copies = stock.copies_out then 'none left'
        when coalesce(recent.rentals_90_days, 0) = 0 then 'no demand'
        when coalesce(recent.rentals_90_days, 0) >= 4 * stock.copies then 'more wanted'
        else 'balanced'
    end as advice
from stock
inner join films on stock.film_id = films.film_id
left join recent on stock.film_id = recent.film_id and stock.store_id = recent.store_id
