with segments as (

    select * from {{ ref('rpt_customer_segments') }}

),

payments as (

    select * from {{ ref('fct_payment') }}

),

films as (

    select * from {{ ref('dim_film') }}

),

categories as (

    select
        segments.segment,
        films.category_name,
        row_number() over (
            partition by segments.segment
            order by count(*) desc, films.category_name asc
        ) as place
    from payments
    inner join segments on payments.customer_id = segments.customer_id
    inner join films on payments.film_id = films.film_id
    group by segments.segment, films.category_name

),

totals as (

    select
        segment,
        count(*) as customers,
        sum(frequency) as payments,
        sum(monetary) as revenue,
        sum(recency_days) as recency_days
    from segments
    group by segment

)

select
    totals.segment,
    cast(totals.customers as bigint) as customers,
    cast(totals.payments as bigint) as payments,
    cast(totals.revenue as decimal(12, 2)) as revenue,
    {{ share('totals.revenue', 'sum(totals.revenue) over ()') }} as revenue_share,
    {{ money_average('totals.revenue', 'totals.payments') }} as average_payment,
    {{ money_average('totals.revenue', 'totals.customers') }} as revenue_per_customer,
    cast(round(cast(totals.recency_days as double precision) / totals.customers, 1) as decimal(8, 1))
        as average_recency_days,
    categories.category_name as favourite_category
from totals
left join categories on totals.segment = categories.segment and categories.place = 1
