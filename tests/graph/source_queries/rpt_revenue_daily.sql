select
    day::date as date_day,
    (select count(*) from payment where payment_date::date = day) as payments,
    (select coalesce(sum(amount), 0) from payment where payment_date::date = day) as revenue,
    (
        select round(
            coalesce(sum(amount), 0)
            / (least(day::date - (select min(payment_date)::date from payment), 6) + 1), 2
        )
        from payment
        where payment_date::date between day::date - 6 and day::date
    ) as revenue_7_day_average,
    (select sum(amount) from payment where payment_date::date <= day) as revenue_to_date
from generate_series(
    (select min(payment_date)::date from payment), (select max(payment_date)::date from payment), interval '1 day'
) as day
