with counted as (
    select
        f.film_id,
        f.title,
        coalesce(cat.name, 'Uncategorised') as category_name,
        f.rating::text as rating,
        (select count(*) from rental as r join inventory as i using (inventory_id) where i.film_id = f.film_id)
            as rentals,
        (
            select count(distinct r.customer_id) from rental as r join inventory as i using (inventory_id)
            where i.film_id = f.film_id
        ) as customers,
        (select count(*) from inventory as i where i.film_id = f.film_id) as copies,
        (
            select coalesce(sum(p.amount), 0)
            from payment as p join rental as r using (rental_id) join inventory as i using (inventory_id)
            where i.film_id = f.film_id
        ) as revenue
    from film as f
    left join lateral (
        select c.name from film_category as fc join category as c using (category_id)
        where fc.film_id = f.film_id order by fc.category_id limit 1
    ) as cat on true
)

select
    *,
    (select count(*) from counted as x where x.rentals > counted.rentals) + 1 as rental_rank,
    (
        select count(*) from counted as x
        where x.category_name = counted.category_name and x.rentals > counted.rentals
    ) + 1 as rental_rank_in_category
from counted
