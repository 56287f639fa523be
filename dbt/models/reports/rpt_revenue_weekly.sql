with days as (

    select * from {{ ref('rpt_revenue_daily') }}

),

calendar as (

    select
        date_day,
        week_start
    from {{ ref('dim_date') }}

),

periods as (

    select
        calendar.week_start,
        sum(days.payments) as payments,
        sum(days.revenue) as revenue
    from days
    inner join calendar on days.date_day = calendar.date_day
    group by calendar.week_start

)

select
    week_start,
    cast(payments as bigint) as payments,
    cast(revenue as decimal(12, 2)) as revenue,
    {{ money_average(
        'sum(revenue) over (order by week_start rows between 3 preceding and current row)',
        'count(*) over (order by week_start rows between 3 preceding and current row)'
    ) }} as revenue_4_week_average,
    cast(revenue - lag(revenue) over (order by week_start) as decimal(12, 2)) as revenue_change
from periods
