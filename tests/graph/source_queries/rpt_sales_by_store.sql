select
    s.store_id,
    ci.city || ', ' || co.country as store_name,
    m.first_name || ' ' || m.last_name as manager_name,
    (
        select coalesce(sum(p.amount), 0)
        from payment as p join rental as r using (rental_id) join inventory as i using (inventory_id)
        where i.store_id = s.store_id
    ) as revenue_of_inventory,
    (
        select coalesce(sum(p.amount), 0) from payment as p join staff as st using (staff_id)
        where st.store_id = s.store_id
    ) as revenue_taken_by_staff,
    (
        select coalesce(sum(p.amount), 0) from payment as p join customer as c using (customer_id)
        where c.store_id = s.store_id
    ) as revenue_of_home_customers,
    (select count(*) from payment as p join staff as st using (staff_id) where st.store_id = s.store_id)
        as payments_taken_by_staff
from store as s
join address as a using (address_id)
join city as ci using (city_id)
join country as co using (country_id)
join staff as m on s.manager_staff_id = m.staff_id
