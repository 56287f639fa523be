with segmented as (
    with habits as (
        select
            customer_id,
            (select max(payment_date)::date from payment) - max(payment_date)::date as recency_days,
            count(*) as frequency,
            sum(amount) as monetary
        from payment
        group by customer_id
    ),

    scores as (
        select
            *,
            ntile(5) over (order by recency_days desc, customer_id) as r,
            ntile(5) over (order by frequency, customer_id) as f,
            ntile(5) over (order by monetary, customer_id) as m
        from habits
    )

    select
        s.customer_id,
        c.first_name || ' ' || c.last_name as full_name,
        c.email,
        co.country as country_name,
        s.recency_days,
        s.frequency,
        s.monetary,
        s.r as recency_score,
        s.f as frequency_score,
        s.m as monetary_score,
        case
            when s.r in (4, 5) and s.f in (4, 5) and s.m in (4, 5) then 'Champions'
            when s.r in (3, 4, 5) and s.f in (4, 5) then 'Loyal'
            when s.r in (4, 5) and s.f in (1, 2) then 'New or returning'
            when s.r in (3, 4, 5) then 'Promising'
            when s.m in (4, 5) then 'At risk'
            when s.f in (1, 2) then 'Lapsed'
            else 'Needs attention'
        end as segment
    from scores as s
    join customer as c using (customer_id)
    join address as a using (address_id)
    join city as ci using (city_id)
    join country as co using (country_id)
),

watched as (
    select sg.segment, coalesce(cat.name, 'Uncategorised') as category_name, count(*) as payments
    from payment as p
    join segmented as sg using (customer_id)
    join rental as r using (rental_id)
    join inventory as i using (inventory_id)
    left join (select film_id, min(category_id) as category_id from film_category group by film_id) as fc
        on i.film_id = fc.film_id
    left join category as cat on fc.category_id = cat.category_id
    group by 1, 2
)

select
    segment,
    count(*) as customers,
    sum(frequency) as payments,
    sum(monetary) as revenue,
    round(sum(monetary) / (select sum(amount) from payment), 4) as revenue_share,
    round(sum(monetary) / sum(frequency), 2) as average_payment,
    round(sum(monetary) / count(*), 2) as revenue_per_customer,
    round(avg(recency_days), 1) as average_recency_days,
    (
        select w.category_name from watched as w
        where w.segment = segmented.segment
        order by w.payments desc, w.category_name limit 1
    ) as favourite_category
from segmented
group by segment
