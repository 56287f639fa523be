with cities as (

    select * from {{ ref('stg_city') }}

),

countries as (

    select * from {{ ref('stg_country') }}

)

select
    cities.city_id,
    cities.city_name,
    countries.country_id,
    countries.country_name
from cities
inner join countries on cities.country_id = countries.country_id
