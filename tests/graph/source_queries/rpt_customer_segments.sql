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
