with stores as (

    select * from {{ ref('stg_store') }}

),

addresses as (

    select * from {{ ref('stg_address') }}

),

geography as (

    select * from {{ ref('dim_geography') }}

),

staff as (

    select * from {{ ref('stg_staff') }}

)

select
    stores.store_id,
    geography.city_name || ', ' || geography.country_name as store_name,
    stores.manager_staff_id,
    staff.first_name || ' ' || staff.last_name as manager_name,
    geography.city_id,
    geography.city_name,
    geography.country_id,
    geography.country_name
from stores
inner join addresses on stores.address_id = addresses.address_id
inner join geography on addresses.city_id = geography.city_id
inner join staff on stores.manager_staff_id = staff.staff_id
