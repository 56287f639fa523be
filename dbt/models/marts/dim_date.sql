with rental_days as (

    select
        cast(min(rented_at) as date) as first_day,
        cast(max(coalesce(returned_at, rented_at)) as date) as last_day
    from {{ ref('stg_rental') }}

),

payment_days as (

    select
        cast(min(paid_at) as date) as first_day,
        cast(max(paid_at) as date) as last_day
    from {{ ref('stg_payment') }}

),

bounds as (

    select
        least(
            coalesce(rental_days.first_day, payment_days.first_day),
            coalesce(payment_days.first_day, rental_days.first_day)
        ) as first_day,
        greatest(
            coalesce(rental_days.last_day, payment_days.last_day),
            coalesce(payment_days.last_day, rental_days.last_day)
        ) as last_day
    from rental_days
    cross join payment_days

),

digits as (

    select 0 as digit
    {% for digit in range(1, 10) %}
        union all
        select {{ digit }} as digit
    {% endfor %}

),

numbers as (

    select
        ones.digit + 10 * tens.digit + 100 * hundreds.digit + 1000 * thousands.digit
        + 10000 * ten_thousands.digit as number
    from digits as ones
    cross join digits as tens
    cross join digits as hundreds
    cross join digits as thousands
    cross join digits as ten_thousands

),

days as (

    select cast({{ dbt.dateadd('day', 'numbers.number', 'bounds.first_day') }} as date) as date_day
    from bounds
    inner join numbers
        on numbers.number <= {{ dbt.datediff('bounds.first_day', 'bounds.last_day', 'day') }}

)

select
    date_day,
    cast(extract(year from date_day) as integer) as year_number,
    cast(extract(quarter from date_day) as integer) as quarter_number,
    cast(extract(month from date_day) as integer) as month_number,
    cast(date_trunc('month', date_day) as date) as month_start,
    cast({{ week_start('date_day') }} as date) as week_start,
    cast({{ iso_weekday('date_day') }} as integer) as weekday_number,
    coalesce({{ iso_weekday('date_day') }} >= 6, false) as is_weekend
from days
