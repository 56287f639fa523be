with films as (

    select * from {{ ref('rpt_popular_films') }}

),

categories as (

    select
        category_name,
        count(*) as films,
        sum(copies) as copies,
        sum(rentals) as rentals,
        sum(revenue) as revenue
    from films
    group by category_name

)

select
    category_name,
    cast(films as bigint) as films,
    cast(copies as bigint) as copies,
    cast(rentals as bigint) as rentals,
    cast(revenue as decimal(12, 2)) as revenue,
    {{ share('revenue', 'sum(revenue) over ()') }} as revenue_share,
    cast(rank() over (order by rentals desc, category_name asc) as bigint) as rental_rank
from categories
