with rentals as (

    select
        *,
        greatest(
            max(rented_at) over (),
            coalesce(max(returned_at) over (), max(rented_at) over ())
        ) as reference_at
    from {{ ref('fct_rental') }}

),

customers as (

    select * from {{ ref('dim_customer') }}

),

films as (

    select * from {{ ref('dim_film') }}

),

late as (

    select
        *,
        coalesce(returned_at, reference_at) as late_until
    from rentals
    where coalesce(returned_at, reference_at) > due_at

)

select
    late.rental_id,
    late.customer_id,
    customers.full_name as customer_name,
    customers.email,
    customers.country_name,
    late.film_id,
    films.title,
    films.category_name,
    late.inventory_store_id as store_id,
    late.rented_at,
    late.due_at,
    late.returned_at,
    late.is_out,
    cast({{ dbt.datediff('late.due_at', 'late.late_until', 'second') }} as bigint) as seconds_late
from late
inner join customers on late.customer_id = customers.customer_id
inner join films on late.film_id = films.film_id
