-- Nine functions and one aggregate. A copy is in stock when no rental of it is open: one without a return date.

create function _group_concat(text, text) returns text
language sql immutable
as $$
    select case
        when $1 is null then $2
        when $2 is null then $1
        else $1 || ', ' || $2
    end
$$;

create aggregate group_concat(text) (
    sfunc = _group_concat,
    stype = text
);

create function last_updated() returns trigger
language plpgsql
as $$
begin
    new.last_update := current_timestamp;
    return new;
end
$$;

-- The last day of the month that the moment falls in.
create function last_day(timestamp) returns date
language sql immutable strict
as $$
    select (date_trunc('month', $1) + interval '1 month' - interval '1 day')::date
$$;

create function inventory_in_stock(p_inventory_id integer) returns boolean
language plpgsql
as $$
begin
    return not exists (
        select from rental
        where rental.inventory_id = p_inventory_id
          and rental.return_date is null
    );
end
$$;

-- Who has the copy now; null when it is on the shelf.
create function inventory_held_by_customer(p_inventory_id integer) returns integer
language plpgsql
as $$
begin
    return (
        select rental.customer_id
        from rental
        where rental.inventory_id = p_inventory_id
          and rental.return_date is null
        limit 1
    );
end
$$;

create function film_in_stock(p_film_id integer, p_store_id integer, out p_film_count integer) returns setof integer
language sql
as $$
    select inventory.inventory_id
    from inventory
    where inventory.film_id = p_film_id
      and inventory.store_id = p_store_id
      and inventory_in_stock(inventory.inventory_id)
$$;

create function film_not_in_stock(p_film_id integer, p_store_id integer, out p_film_count integer) returns setof integer
language sql
as $$
    select inventory.inventory_id
    from inventory
    where inventory.film_id = p_film_id
      and inventory.store_id = p_store_id
      and not inventory_in_stock(inventory.inventory_id)
$$;

-- What the customer owes at a moment: the rate of each rental begun by then, one dollar for each whole day that it was
-- kept beyond its film's duration, less what was paid by then.
create function get_customer_balance(p_customer_id integer, p_effective_date timestamp) returns numeric
language plpgsql
as $$
declare
    charged numeric;
    paid    numeric;
begin
    select coalesce(sum(
        film.rental_rate
        + greatest(0, extract(day from rental.return_date - rental.rental_date)::integer - film.rental_duration)
    ), 0)
    into charged
    from rental
    join inventory on inventory.inventory_id = rental.inventory_id
    join film on film.film_id = inventory.film_id
    where rental.customer_id = p_customer_id
      and rental.rental_date <= p_effective_date;

    select coalesce(sum(payment.amount), 0)
    into paid
    from payment
    where payment.customer_id = p_customer_id
      and payment.payment_date <= p_effective_date;

    return charged - paid;
end
$$;

-- The customers who, in the calendar month three months ago, made more payments and paid more than was asked.
create function rewards_report(min_monthly_purchases integer, min_dollar_amount_purchased numeric)
returns setof customer
language plpgsql security definer
set search_path = public, pg_temp
as $$
declare
    month_start date := date_trunc('month', current_date - interval '3 months');
begin
    if min_monthly_purchases = 0 then
        raise exception 'The minimum number of monthly purchases must be greater than 0.';
    end if;
    if min_dollar_amount_purchased = 0 then
        raise exception 'The minimum amount of monthly purchases must be greater than 0.00 dollars.';
    end if;

    return query
    select customer.*
    from customer
    join (
        select payment.customer_id
        from payment
        where payment.payment_date::date between month_start and last_day(month_start::timestamp)
        group by payment.customer_id
        having count(*) > min_monthly_purchases
           and sum(payment.amount) > min_dollar_amount_purchased
    ) as rewarded on rewarded.customer_id = customer.customer_id;
end
$$;
