"""A database that is no DVD Rental, and what goes on in it: keys, partitions, schemas and names of every kind."""

LONG = "a_name_of_sixty_three_bytes_which_is_the_longest_that_there_is_"

TABLES = f"""
    create schema sales;
    create schema archive;
    create schema "Größe & Maß";
    create type sales.state as enum ('open', 'sent');

    create table sales.supplier (id integer primary key, name text not null, rating numeric(3, 1));
    create table sales.supplier_abroad (country text not null, primary key (id)) inherits (sales.supplier);
    create table sales.orders (
        region text, number integer, supplier_id integer references sales.supplier, state sales.state, note text,
        primary key (number, region)
    );
    create table archive.orders (number integer primary key, closed_on date, lines jsonb);
    create table archive."Orders" (number integer primary key);
    create table sales.order_line (
        region text, number integer, line integer, quantity integer not null, price numeric(8, 2) not null,
        total numeric generated always as (quantity * price) stored, description text,
        primary key (region, number, line),
        foreign key (number, region) references sales.orders (number, region) on delete cascade
    );

    create table sales.reading (sensor integer, taken_on date, value double precision, remark text,
        primary key (sensor, taken_on)) partition by range (taken_on);
    create table sales.reading_2024 partition of sales.reading for values from ('2024-01-01') to ('2025-01-01');
    create table sales.reading_2025 (remark text, gone integer, value double precision, taken_on date not null,
        sensor integer not null);
    alter table sales.reading_2025 drop column gone;
    alter table sales.reading attach partition sales.reading_2025 for values from ('2025-01-01') to ('2026-01-01');
    create table sales.reading_later partition of sales.reading for values from ('2026-01-01') to (maxvalue)
        partition by list (sensor);
    create table sales.reading_later_rest partition of sales.reading_later default;
    create table sales.visit (page text, visitor integer) partition by list (page);
    create table sales.visit_home partition of sales.visit for values in ('home');
    create table sales.visit_other partition of sales.visit default;

    create table sales.audit (at timestamp, what text);
    create table sales.badge (code varchar(9) not null, holder varchar(9), unique (code));
    create table sales.place_in_queue (place integer primary key deferrable initially deferred, who text);
    create table "Größe & Maß"."Öl ""Tank"" 🛢" (
        "Füll Höhe" integer primary key, "select" text, "semi;colon" text[], "per cent %%s" integer
    );
    create table "Größe & Maß"."{LONG}" (id integer primary key, "order" text);

    create view sales.total as select region, sum(total) as total from sales.order_line group by region;
    create materialized view sales.total_once as select * from sales.total;
    create unlogged table sales.scratch (id integer primary key);
    create table sales.calculated (id integer generated always as (1) stored);
    create table sales.clash (id integer primary key, "Id" integer);
""".replace("%%", "%")

FIRST_ROWS = f"""
    insert into sales.supplier select i, 'supplier ' || i, i %% 10 from generate_series(1, 30) as i;
    insert into sales.supplier_abroad values (100, 'abroad', 1.5, 'Norway');
    insert into sales.orders
        select case i %% 2 when 0 then 'north' else 'süd' end, i, 1 + i %% 30, 'open', repeat('note ', i)
        from generate_series(1, 200) as i;
    insert into archive.orders select i, date '2024-01-01' + i, '{{"lines": []}}' from generate_series(1, 50) as i;
    insert into archive."Orders" values (1), (2);
    insert into sales.order_line (region, number, line, quantity, price, description)
        select region, number, line, line, number * 1.25, (
            select string_agg(md5(number::text || line || i), '') from generate_series(1, 200) as i
        )
        from sales.orders, generate_series(1, 2) as line;
    insert into sales.reading
        select i %% 7, date '2024-06-01' + i, i / 3.0, (
            select string_agg(md5(i::text || j), '') from generate_series(1, 200) as j
        )
        from generate_series(1, 900) as i;
    insert into sales.visit select case i %% 3 when 0 then 'home' else 'page ' || i %% 5 end, i %% 4
        from generate_series(1, 60) as i;
    insert into sales.audit select timestamp '2024-01-01', 'event ' || i %% 5 from generate_series(1, 40) as i;
    insert into sales.badge values ('A', 'ann'), ('B', null);
    insert into sales.place_in_queue values (1, 'ann'), (2, 'bob'), (3, 'cid');
    insert into "Größe & Maß"."Öl ""Tank"" 🛢" values (1, 'one', '{{a,"b c",NULL}}', 5), (2, null, null, null);
    insert into "Größe & Maß"."{LONG}" values (1, 'first');
""".replace("%%", "%")

CHANGES = (
    "insert into sales.supplier values (31, 'new', 9.9)",
    "update sales.supplier set rating = 0 where id <= 3",
    "update only sales.supplier set name = 'renamed' where id = 5",
    "update sales.supplier_abroad set country = 'Sweden'",
    "delete from sales.orders where number > 190",
    "alter table sales.order_line drop constraint order_line_number_region_fkey",
    "update sales.orders set region = 'west' where number in (1, 3)",
    "update sales.order_line set quantity = 77 where line = 2 and number < 20",
    "update sales.order_line set line = line + 10 where number between 30 and 40",
    "update archive.orders set lines = '{\"lines\": [1]}' where number = 7",
    'truncate archive."Orders"',
    'insert into archive."Orders" values (3)',
    "update sales.reading set value = -1 where sensor = 2",
    "update sales.reading set taken_on = date '2027-01-01' + sensor where taken_on = date '2024-06-02'",
    "update sales.reading set taken_on = taken_on - 365 where taken_on between '2025-07-01' and '2025-07-05'",
    "delete from sales.reading where taken_on < '2024-07-01'",
    "insert into sales.reading values (3, '2030-01-01', 1, null)",
    "update sales.visit set page = 'home' where page = 'page 1'",
    "update sales.visit set visitor = 9 where page = 'home' and visitor = 2",
    "delete from sales.visit where page = 'page 2'",
    "update sales.audit set what = 'changed' where what = 'event 1'",
    "delete from sales.audit where ctid = (select min(ctid) from sales.audit where what = 'event 2')",
    "update sales.badge set holder = 'bob' where code = 'B'",
    "update sales.badge set code = 'C' where code = 'A'",
    "update sales.place_in_queue set place = 4 - place where place in (1, 3)",
    """update "Größe & Maß"."Öl ""Tank"" 🛢" set "semi;colon" = '{x}', "select" = E'zwei\\n' where "Füll Höhe" = 2""",
    f'update "Größe & Maß"."{LONG}" set id = 2, "order" = null',
)
"""Each a transaction of its own."""
