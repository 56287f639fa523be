with films as (

    select * from {{ ref('dim_film') }}

),

rentals as (

    select
        film_id,
        count(*) as rentals,
        count(distinct customer_id) as customers
    from {{ ref('fct_rental') }}
    group by film_id

),

payments as (

    select
        film_id,
        sum(amount) as revenue
    from {{ ref('fct_payment') }}
    group by film_id

),

copies as (

    select
        film_id,
        count(*) as copies
    from {{ ref('fct_inventory') }}
    group by film_id

)

select
    films.film_id,
    films.title,
    films.category_name,
    films.rating,
    cast(coalesce(rentals.rentals, 0) as bigint) as rentals,
    cast(coalesce(rentals.customers, 0) as bigint) as customers,
    cast(coalesce(copies.copies, 0) as bigint) as copies,
    cast(coalesce(payments.revenue, 0) as decimal(12, 2)) as revenue,
    cast(rank() over (order by coalesce(rentals.rentals, 0) desc) as bigint) as rental_rank,
    cast(rank() over (
        partition by films.category_name
        order by coalesce(rentals.rentals, 0) desc
    ) as bigint) as rental_rank_in_category
from films
left join rentals on films.film_id = rentals.film_id
left join payments on films.film_id = payments.film_id
left join copies on films.film_id = copies.film_id
