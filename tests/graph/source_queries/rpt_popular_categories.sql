with films as (
    select f.film_id, coalesce(cat.name, 'Uncategorised') as category_name
    from film as f
    left join (select film_id, min(category_id) as category_id from film_category group by film_id) as fc using (film_id)
    left join category as cat using (category_id)
),

counted as (
    select
        category_name,
        count(*) as films,
        sum((select count(*) from inventory as i where i.film_id = films.film_id)) as copies,
        sum((
            select count(*) from rental as r join inventory as i using (inventory_id) where i.film_id = films.film_id
        )) as rentals,
        sum((
            select coalesce(sum(p.amount), 0)
            from payment as p join rental as r using (rental_id) join inventory as i using (inventory_id)
            where i.film_id = films.film_id
        )) as revenue
    from films
    group by category_name
)

select
    category_name,
    films,
    copies,
    rentals,
    revenue,
    round(revenue / (select sum(revenue) from counted), 4) as revenue_share,
    row_number() over (order by rentals desc, category_name collate "C") as rental_rank
from counted
