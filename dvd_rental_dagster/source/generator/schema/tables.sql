-- The fifteen tables of DVD Rental, with their two types and thirteen sequences. No keys yet: those are in keys.sql.

create type mpaa_rating as enum ('G', 'PG', 'PG-13', 'R', 'NC-17');

create domain year as integer
    constraint year_check check (value >= 1901 and value <= 2155);

create sequence actor_actor_id_seq;
create sequence address_address_id_seq;
create sequence category_category_id_seq;
create sequence city_city_id_seq;
create sequence country_country_id_seq;
create sequence customer_customer_id_seq;
create sequence film_film_id_seq;
create sequence inventory_inventory_id_seq;
create sequence language_language_id_seq;
create sequence payment_payment_id_seq;
create sequence rental_rental_id_seq;
create sequence staff_staff_id_seq;
create sequence store_store_id_seq;

-- Where people and stores are.

create table country (
    country_id  integer     not null default nextval('country_country_id_seq'),
    country     varchar(50) not null,
    last_update timestamp   not null default now()
);

create table city (
    city_id     integer     not null default nextval('city_city_id_seq'),
    city        varchar(50) not null,
    country_id  smallint    not null,
    last_update timestamp   not null default now()
);

create table address (
    address_id  integer     not null default nextval('address_address_id_seq'),
    address     varchar(50) not null,
    address2    varchar(50),
    district    varchar(20) not null,
    city_id     smallint    not null,
    postal_code varchar(10),
    phone       varchar(20) not null,
    last_update timestamp   not null default now()
);

-- The films, who plays in them, and the copies on the shelves.

create table actor (
    actor_id    integer     not null default nextval('actor_actor_id_seq'),
    first_name  varchar(45) not null,
    last_name   varchar(45) not null,
    last_update timestamp   not null default now()
);

create table category (
    category_id integer     not null default nextval('category_category_id_seq'),
    name        varchar(25) not null,
    last_update timestamp   not null default now()
);

create table language (
    language_id integer   not null default nextval('language_language_id_seq'),
    name        char(20)  not null,
    last_update timestamp not null default now()
);

create table film (
    film_id          integer       not null default nextval('film_film_id_seq'),
    title            varchar(255)  not null,
    description      text,
    release_year     year,
    language_id      smallint      not null,
    rental_duration  smallint      not null default 3,
    rental_rate      numeric(4, 2) not null default 4.99,
    length           smallint,
    replacement_cost numeric(5, 2) not null default 19.99,
    rating           mpaa_rating   default 'G',
    last_update      timestamp     not null default now(),
    special_features text[],
    fulltext         tsvector      not null
);

create table film_actor (
    actor_id    smallint  not null,
    film_id     smallint  not null,
    last_update timestamp not null default now()
);

create table film_category (
    film_id     smallint  not null,
    category_id smallint  not null,
    last_update timestamp not null default now()
);

create table inventory (
    inventory_id integer   not null default nextval('inventory_inventory_id_seq'),
    film_id      smallint  not null,
    store_id     smallint  not null,
    last_update  timestamp not null default now()
);

-- The business: stores, staff, customers, what they rent and what they pay.

create table store (
    store_id         integer   not null default nextval('store_store_id_seq'),
    manager_staff_id smallint  not null,
    address_id       smallint  not null,
    last_update      timestamp not null default now()
);

create table staff (
    staff_id    integer     not null default nextval('staff_staff_id_seq'),
    first_name  varchar(45) not null,
    last_name   varchar(45) not null,
    address_id  smallint    not null,
    email       varchar(50),
    store_id    smallint    not null,
    active      boolean     not null default true,
    username    varchar(16) not null,
    password    varchar(40),
    last_update timestamp   not null default now(),
    picture     bytea
);

create table customer (
    customer_id integer     not null default nextval('customer_customer_id_seq'),
    store_id    smallint    not null,
    first_name  varchar(45) not null,
    last_name   varchar(45) not null,
    email       varchar(50),
    address_id  smallint    not null,
    activebool  boolean     not null default true,
    create_date date        not null default ('now'::text)::date,
    last_update timestamp   default now(),
    active      integer
);

create table rental (
    rental_id    integer   not null default nextval('rental_rental_id_seq'),
    rental_date  timestamp not null,
    inventory_id integer   not null,
    customer_id  smallint  not null,
    return_date  timestamp,
    staff_id     smallint  not null,
    last_update  timestamp not null default now()
);

create table payment (
    payment_id   integer       not null default nextval('payment_payment_id_seq'),
    customer_id  smallint      not null,
    staff_id     smallint      not null,
    rental_id    integer       not null,
    amount       numeric(5, 2) not null,
    payment_date timestamp     not null
);
