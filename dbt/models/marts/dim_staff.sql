with staff as (

    select * from {{ ref('stg_staff') }}

),

stores as (

    select * from {{ ref('stg_store') }}

)

select
    staff.staff_id,
    staff.first_name,
    staff.last_name,
    staff.first_name || ' ' || staff.last_name as full_name,
    staff.email,
    staff.store_id,
    staff.is_active,
    coalesce(staff.staff_id = stores.manager_staff_id, false) as is_manager
from staff
left join stores on staff.store_id = stores.store_id
