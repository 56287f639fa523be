with customers as (

    select * from {{ ref('stg_customer') }}

),

addresses as (

    select * from {{ ref('stg_address') }}

),

geography as (

    select * from {{ ref('dim_geography') }}

)

select
    customers.customer_id,
    customers.first_name,
    customers.last_name,
    customers.first_name || ' ' || customers.last_name as full_name,
    customers.email,
    customers.is_active,
    customers.created_on,
    customers.store_id as home_store_id,
    geography.city_id,
    geography.city_name,
    geography.country_id,
    geography.country_name
from customers
inner join addresses on customers.address_id = addresses.address_id
inner join geography on addresses.city_id = geography.city_id
