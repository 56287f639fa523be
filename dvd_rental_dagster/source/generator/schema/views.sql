-- Seven views, as the people of the stores use them.

-- Each actor's films by category: "Drama: One Title, Another Title, Comedy: ...".
create view actor_info as
with titles_by_category as (
    select
        film_actor.actor_id,
        category.name as category,
        group_concat(film.title) as titles
    from film_actor
    join film on film.film_id = film_actor.film_id
    join film_category on film_category.film_id = film.film_id
    join category on category.category_id = film_category.category_id
    group by film_actor.actor_id, category.category_id, category.name
)
select
    actor.actor_id,
    actor.first_name,
    actor.last_name,
    group_concat(distinct titles_by_category.category || ': ' || titles_by_category.titles) as film_info
from actor
left join titles_by_category on titles_by_category.actor_id = actor.actor_id
group by actor.actor_id, actor.first_name, actor.last_name;

create view customer_list as
select
    customer.customer_id as id,
    customer.first_name || ' ' || customer.last_name as name,
    address.address,
    address.postal_code as "zip code",
    address.phone,
    city.city,
    country.country,
    case when customer.activebool then 'active' else '' end as notes,
    customer.store_id as sid
from customer
join address on address.address_id = customer.address_id
join city on city.city_id = address.city_id
join country on country.country_id = city.country_id;

create view staff_list as
select
    staff.staff_id as id,
    staff.first_name || ' ' || staff.last_name as name,
    address.address,
    address.postal_code as "zip code",
    address.phone,
    city.city,
    country.country,
    staff.store_id as sid
from staff
join address on address.address_id = staff.address_id
join city on city.city_id = address.city_id
join country on country.country_id = city.country_id;

-- The films that have a category and actors.
create view film_list as
select
    film.film_id as fid,
    film.title,
    film.description,
    category.name as category,
    film.rental_rate as price,
    film.length,
    film.rating,
    group_concat(actor.first_name || ' ' || actor.last_name) as actors
from film
join film_category on film_category.film_id = film.film_id
join category on category.category_id = film_category.category_id
join film_actor on film_actor.film_id = film.film_id
join actor on actor.actor_id = film_actor.actor_id
group by
    film.film_id, film.title, film.description, category.name, film.rental_rate, film.length, film.rating;

-- The same list with each part of a name capitalised, and no space between the two.
create view nicer_but_slower_film_list as
select
    film.film_id as fid,
    film.title,
    film.description,
    category.name as category,
    film.rental_rate as price,
    film.length,
    film.rating,
    group_concat(
        upper(left(actor.first_name, 1)) || lower(substr(actor.first_name, 2))
        || upper(left(actor.last_name, 1)) || lower(substr(actor.last_name, 2))
    ) as actors
from film
join film_category on film_category.film_id = film.film_id
join category on category.category_id = film_category.category_id
join film_actor on film_actor.film_id = film.film_id
join actor on actor.actor_id = film_actor.actor_id
group by
    film.film_id, film.title, film.description, category.name, film.rental_rate, film.length, film.rating;

create view sales_by_film_category as
select
    category.name as category,
    sum(payment.amount) as total_sales
from payment
join rental on rental.rental_id = payment.rental_id
join inventory on inventory.inventory_id = rental.inventory_id
join film_category on film_category.film_id = inventory.film_id
join category on category.category_id = film_category.category_id
group by category.name
order by total_sales desc;

-- The store is the one whose copy was rented, whoever took the money.
create view sales_by_store as
select
    city.city || ',' || country.country as store,
    staff.first_name || ' ' || staff.last_name as manager,
    sum(payment.amount) as total_sales
from payment
join rental on rental.rental_id = payment.rental_id
join inventory on inventory.inventory_id = rental.inventory_id
join store on store.store_id = inventory.store_id
join staff on staff.staff_id = store.manager_staff_id
join address on address.address_id = store.address_id
join city on city.city_id = address.city_id
join country on country.country_id = city.country_id
group by country.country, city.city, store.store_id, staff.first_name, staff.last_name
order by country.country, city.city;
