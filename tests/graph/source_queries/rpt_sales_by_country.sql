with sales as (
    select
        co.country_id,
        co.country,
        count(distinct c.customer_id) as customers,
        count(p.payment_id) as payments,
        coalesce(sum(p.amount), 0) as revenue
    from country as co
    join city as ci using (country_id)
    join address as a using (city_id)
    join customer as c using (address_id)
    left join payment as p using (customer_id)
    group by co.country_id, co.country
)

select
    country_id,
    country as country_name,
    customers,
    payments,
    revenue,
    round(revenue / (select sum(amount) from payment), 4) as revenue_share,
    (
        select count(*) from sales as better
        where better.revenue > sales.revenue
            or (better.revenue = sales.revenue and better.country_id < sales.country_id)
    ) + 1 as revenue_rank
from sales
