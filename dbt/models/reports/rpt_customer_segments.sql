with payments as (

    select
        customer_id,
        paid_on,
        amount,
        max(paid_on) over () as reference_day
    from {{ ref('fct_payment') }}

),

customers as (

    select * from {{ ref('dim_customer') }}

),

habits as (

    select
        customer_id,
        {{ dbt.datediff('max(paid_on)', 'max(reference_day)', 'day') }} as recency_days,
        count(*) as frequency,
        sum(amount) as monetary
    from payments
    group by customer_id

),

scored as (

    select
        customer_id,
        recency_days,
        frequency,
        monetary,
        ntile(5) over (order by recency_days desc, customer_id asc) as recency_score,
        ntile(5) over (order by frequency asc, customer_id asc) as frequency_score,
        ntile(5) over (order by monetary asc, customer_id asc) as monetary_score
    from habits

)

select
    scored.customer_id,
    customers.full_name,
    customers.email,
    customers.country_name,
    cast(scored.recency_days as bigint) as recency_days,
    cast(scored.frequency as bigint) as frequency,
    cast(scored.monetary as decimal(12, 2)) as monetary,
    cast(scored.recency_score as integer) as recency_score,
    cast(scored.frequency_score as integer) as frequency_score,
    cast(scored.monetary_score as integer) as monetary_score,
    case
        when scored.recency_score >= 4 and scored.frequency_score >= 4 and scored.monetary_score >= 4 then 'Champions'
        when scored.recency_score >= 3 and scored.frequency_score >= 4 then 'Loyal'
        when scored.recency_score >= 4 and scored.frequency_score <= 2 then 'New or returning'
        when scored.recency_score >= 3 then 'Promising'
        when scored.recency_score <= 2 and scored.monetary_score >= 4 then 'At risk'
        when scored.recency_score <= 2 and scored.frequency_score <= 2 then 'Lapsed'
        else 'Needs attention'
    end as segment
from scored
inner join customers on scored.customer_id = customers.customer_id
