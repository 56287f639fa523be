with films as (

    select * from {{ ref('stg_film') }}

),

languages as (

    select * from {{ ref('stg_language') }}

),

film_categories as (

    select
        links.film_id,
        min(links.category_id) as category_id
    from {{ ref('stg_film_category') }} as links
    group by links.film_id

),

categories as (

    select * from {{ ref('stg_category') }}

),

casts as (

    select
        film_id,
        count(*) as actors
    from {{ ref('stg_film_actor') }}
    group by film_id

)

select
    films.film_id,
    films.title,
    films.release_year,
    languages.language_name,
    categories.category_id,
    coalesce(categories.category_name, 'Uncategorised') as category_name,
    films.rating,
    films.length_minutes,
    films.rental_duration_days,
    films.rental_rate,
    films.replacement_cost,
    coalesce(casts.actors, 0) as actors
from films
inner join languages on films.language_id = languages.language_id
left join film_categories on films.film_id = film_categories.film_id
left join categories on film_categories.category_id = categories.category_id
left join casts on films.film_id = casts.film_id
