with weeks as (
    select week_start::date, coalesce(sum(p.amount), 0) as revenue, count(p.payment_id) as payments
    from generate_series(
        (select date_trunc('week', min(payment_date)) from payment),
        (select max(payment_date) from payment),
        interval '7 days'
    ) as week_start
    left join payment as p on p.payment_date >= week_start and p.payment_date < week_start + interval '7 days'
    group by week_start
)

select
    w.week_start,
    w.payments,
    w.revenue,
    (
        select round(sum(x.revenue) / count(*), 2)
        from weeks as x where x.week_start between w.week_start - 21 and w.week_start
    ) as revenue_4_week_average,
    w.revenue - (select x.revenue from weeks as x where x.week_start = w.week_start - 7) as revenue_change
from weeks as w
