with days as (

    select date_day from {{ ref('dim_date') }}

),

payments as (

    select
        paid_on,
        count(*) as payments,
        sum(amount) as revenue
    from {{ ref('fct_payment') }}
    group by paid_on

),

bounds as (

    select
        min(paid_on) as first_day,
        max(paid_on) as last_day
    from payments

),

filled as (

    select
        days.date_day,
        coalesce(payments.payments, 0) as payments,
        coalesce(payments.revenue, 0) as revenue
    from days
    inner join bounds on days.date_day between bounds.first_day and bounds.last_day
    left join payments on days.date_day = payments.paid_on

)

select
    date_day,
    cast(payments as bigint) as payments,
    cast(revenue as decimal(12, 2)) as revenue,
    {{ money_average(
        'sum(revenue) over (order by date_day rows between 6 preceding and current row)',
        'count(*) over (order by date_day rows between 6 preceding and current row)'
    ) }} as revenue_7_day_average,
    cast(sum(revenue) over (order by date_day rows unbounded preceding) as decimal(14, 2)) as revenue_to_date
from filled
