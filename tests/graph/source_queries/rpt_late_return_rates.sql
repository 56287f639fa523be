with judged as (
    select
        i.store_id::text as store,
        co.country,
        coalesce(cat.name, 'Uncategorised') as category,
        coalesce(r.return_date, (select greatest(max(rental_date), max(return_date)) from rental))
        - r.rental_date - f.rental_duration * interval '1 day' as lateness,
        r.return_date is null as is_out
    from rental as r
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
)

select
    d.dimension,
    d.member,
    count(*) as rentals,
    count(*) filter (where lateness > interval '0') as late_rentals,
    count(*) filter (where lateness > interval '0' and is_out) as missing_rentals,
    round(count(*) filter (where lateness > interval '0')::numeric / count(*), 4) as late_share,
    round(avg(extract(epoch from lateness)) filter (where lateness > interval '0' and not is_out) / 3600, 1)
        as average_hours_late
from judged
cross join lateral (values ('store', store), ('country', country), ('category', category)) as d (dimension, member)
group by d.dimension, d.member
