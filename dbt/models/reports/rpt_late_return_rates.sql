with rentals as (

    select
        rentals.rental_id,
        rentals.inventory_store_id,
        customers.country_name,
        films.category_name
    from {{ ref('fct_rental') }} as rentals
    inner join {{ ref('dim_customer') }} as customers on rentals.customer_id = customers.customer_id
    inner join {{ ref('dim_film') }} as films on rentals.film_id = films.film_id

),

late as (

    select
        rental_id,
        is_out,
        seconds_late
    from {{ ref('rpt_late_returns') }}

),

judged as (

    select
        rentals.*,
        late.rental_id is not null as is_late,
        coalesce(late.is_out, false) as is_missing,
        coalesce(late.seconds_late, 0) as seconds_late
    from rentals
    left join late on rentals.rental_id = late.rental_id

),

dimensions as (

    select
        'store' as dimension,
        cast(inventory_store_id as varchar) as member,
        is_late,
        is_missing,
        seconds_late
    from judged
    union all
    select
        'country' as dimension,
        country_name as member,
        is_late,
        is_missing,
        seconds_late
    from judged
    union all
    select
        'category' as dimension,
        category_name as member,
        is_late,
        is_missing,
        seconds_late
    from judged

)

select
    dimension,
    member,
    cast(count(*) as bigint) as rentals,
    cast(sum(case when is_late then 1 else 0 end) as bigint) as late_rentals,
    cast(sum(case when is_missing then 1 else 0 end) as bigint) as missing_rentals,
    {{ share('sum(case when is_late then 1 else 0 end)', 'count(*)') }} as late_share,
    cast(round(
        cast(sum(case when is_late and not is_missing then seconds_late else 0 end) as double precision)
        / nullif(sum(case when is_late and not is_missing then 1 else 0 end), 0) / 3600, 1
    ) as decimal(10, 1)) as average_hours_late
from dimensions
group by dimension, member
