with payments as (

    select * from {{ ref('fct_payment') }}

),

customers as (

    select * from {{ ref('dim_customer') }}

),

countries as (

    select
        customers.country_id,
        customers.country_name,
        count(distinct customers.customer_id) as customers,
        count(payments.payment_id) as payments,
        coalesce(sum(payments.amount), 0) as revenue
    from customers
    left join payments on customers.customer_id = payments.customer_id
    group by customers.country_id, customers.country_name

)

select
    country_id,
    country_name,
    cast(customers as bigint) as customers,
    cast(payments as bigint) as payments,
    cast(revenue as decimal(12, 2)) as revenue,
    {{ share('revenue', 'sum(revenue) over ()') }} as revenue_share,
    cast(rank() over (order by revenue desc, country_id asc) as bigint) as revenue_rank
from countries
