with months as (
    select month_start::date, coalesce(sum(p.amount), 0) as revenue, count(p.payment_id) as payments
    from generate_series(
        (select date_trunc('month', min(payment_date)) from payment),
        (select max(payment_date) from payment),
        interval '1 month'
    ) as month_start
    left join payment as p on date_trunc('month', p.payment_date) = month_start
    group by month_start
)

select
    m.month_start,
    m.payments,
    m.revenue,
    (
        select round(sum(x.revenue) / count(*), 2)
        from months as x where x.month_start between m.month_start - interval '2 months' and m.month_start
    ) as revenue_3_month_average,
    m.revenue - (select x.revenue from months as x where x.month_start = m.month_start - interval '1 month')
        as revenue_change
from months as m
