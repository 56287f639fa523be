with days as (

    select * from {{ ref('rpt_revenue_daily') }}

),

calendar as (

    select
        date_day,
        month_start
    from {{ ref('dim_date') }}

),

periods as (

    select
        calendar.month_start,
        sum(days.payments) as payments,
        sum(days.revenue) as revenue
    from days
    inner join calendar on days.date_day = calendar.date_day
    group by calendar.month_start

)

select
    month_start,
    cast(payments as bigint) as payments,
    cast(revenue as decimal(12, 2)) as revenue,
    {{ money_average(
        'sum(revenue) over (order by month_start rows between 2 preceding and current row)',
        'count(*) over (order by month_start rows between 2 preceding and current row)'
    ) }} as revenue_3_month_average,
    cast(revenue - lag(revenue) over (order by month_start) as decimal(12, 2)) as revenue_change
from periods
