with reference as (
    select greatest(max(rental_date), max(return_date)) as reference_at from rental
)

select
    r.rental_id,
    r.customer_id::int,
    c.first_name || ' ' || c.last_name as customer_name,
    c.email,
    co.country as country_name,
    f.film_id,
    f.title,
    coalesce(cat.name, 'Uncategorised') as category_name,
    i.store_id::int,
    r.rental_date as rented_at,
    r.rental_date + f.rental_duration * interval '1 day' as due_at,
    r.return_date as returned_at,
    r.return_date is null as is_out,
    extract(
        epoch from coalesce(r.return_date, reference.reference_at) - r.rental_date - f.rental_duration * interval '1 day'
    )::bigint as seconds_late
from rental as r
cross join reference
join inventory as i using (inventory_id)
join film as f using (film_id)
join customer as c using (customer_id)
join address as a on c.address_id = a.address_id
join city as ci using (city_id)
join country as co using (country_id)
left join lateral (
    select k.name from film_category as fc join category as k using (category_id)
    where fc.film_id = f.film_id order by fc.category_id limit 1
) as cat on true
where coalesce(r.return_date, reference.reference_at) - r.rental_date > f.rental_duration * interval '1 day'
