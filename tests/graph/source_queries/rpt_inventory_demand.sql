with stock as (
    select
        i.film_id,
        i.store_id,
        count(*) as copies,
        count(*) filter (
            where exists (select 1 from rental as r where r.inventory_id = i.inventory_id and r.return_date is null)
        ) as copies_out
    from inventory as i
    group by i.film_id, i.store_id
),

demand as (
    select
        stock.*,
        (
            select count(*) from rental as r join inventory as i using (inventory_id)
            where i.film_id = stock.film_id and i.store_id = stock.store_id
        ) as rentals,
        (
            select count(*) from rental as r join inventory as i using (inventory_id)
            where i.film_id = stock.film_id and i.store_id = stock.store_id
                and r.rental_date > (select max(rental_date) from rental) - interval '90 days'
        ) as recent,
        (
            select max(r.rental_date) from rental as r join inventory as i using (inventory_id)
            where i.film_id = stock.film_id and i.store_id = stock.store_id
        ) as last_rented_at
    from stock
)

select
    d.film_id,
    f.title,
    coalesce(cat.name, 'Uncategorised') as category_name,
    d.store_id,
    d.copies,
    d.copies_out,
    d.copies - d.copies_out as copies_available,
    d.rentals,
    d.recent as rentals_90_days,
    round(d.recent::numeric / d.copies, 2) as rentals_90_days_per_copy,
    d.last_rented_at,
    case
        when d.copies = d.copies_out then 'none left'
        when d.recent = 0 then 'no demand'
        when d.recent >= 4 * d.copies then 'more wanted'
        else 'balanced'
    end as advice
from demand as d
join film as f using (film_id)
left join lateral (
    select c.name from film_category as fc join category as c using (category_id)
    where fc.film_id = f.film_id order by fc.category_id limit 1
) as cat on true
