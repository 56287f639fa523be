with stores as (

    select * from {{ ref('dim_store') }}

),

payments as (

    select * from {{ ref('fct_payment') }}

),

by_inventory as (

    select
        inventory_store_id as store_id,
        sum(amount) as revenue
    from payments
    group by inventory_store_id

),

by_staff as (

    select
        staff.store_id,
        count(*) as payments,
        sum(payments.amount) as revenue
    from payments
    inner join {{ ref('dim_staff') }} as staff on payments.staff_id = staff.staff_id
    group by staff.store_id

),

by_customer as (

    select
        customers.home_store_id as store_id,
        sum(payments.amount) as revenue
    from payments
    inner join {{ ref('dim_customer') }} as customers on payments.customer_id = customers.customer_id
    group by customers.home_store_id

)

select
    stores.store_id,
    stores.store_name,
    stores.manager_name,
    cast(coalesce(by_inventory.revenue, 0) as decimal(12, 2)) as revenue_of_inventory,
    cast(coalesce(by_staff.revenue, 0) as decimal(12, 2)) as revenue_taken_by_staff,
    cast(coalesce(by_customer.revenue, 0) as decimal(12, 2)) as revenue_of_home_customers,
    cast(coalesce(by_staff.payments, 0) as bigint) as payments_taken_by_staff
from stores
left join by_inventory on stores.store_id = by_inventory.store_id
left join by_staff on stores.store_id = by_staff.store_id
left join by_customer on stores.store_id = by_customer.store_id
