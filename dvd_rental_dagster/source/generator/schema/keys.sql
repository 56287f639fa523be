-- Primary keys, indexes and foreign keys: built after the rows are loaded, which is far quicker than keeping them up.

alter table actor         add constraint actor_pkey         primary key (actor_id);
alter table address       add constraint address_pkey       primary key (address_id);
alter table category      add constraint category_pkey      primary key (category_id);
alter table city          add constraint city_pkey          primary key (city_id);
alter table country       add constraint country_pkey       primary key (country_id);
alter table customer      add constraint customer_pkey      primary key (customer_id);
alter table film          add constraint film_pkey          primary key (film_id);
alter table film_actor    add constraint film_actor_pkey    primary key (actor_id, film_id);
alter table film_category add constraint film_category_pkey primary key (film_id, category_id);
alter table inventory     add constraint inventory_pkey     primary key (inventory_id);
alter table language      add constraint language_pkey      primary key (language_id);
alter table payment       add constraint payment_pkey       primary key (payment_id);
alter table rental        add constraint rental_pkey        primary key (rental_id);
alter table staff         add constraint staff_pkey         primary key (staff_id);
alter table store         add constraint store_pkey         primary key (store_id);

create index film_fulltext_idx     on film using gist (fulltext);
create index idx_actor_last_name   on actor (last_name);
create index idx_fk_address_id     on customer (address_id);
create index idx_fk_city_id        on address (city_id);
create index idx_fk_country_id     on city (country_id);
create index idx_fk_customer_id    on payment (customer_id);
create index idx_fk_film_id        on film_actor (film_id);
create index idx_fk_inventory_id   on rental (inventory_id);
create index idx_fk_language_id    on film (language_id);
create index idx_fk_rental_id      on payment (rental_id);
create index idx_fk_staff_id       on payment (staff_id);
create index idx_fk_store_id       on customer (store_id);
create index idx_last_name         on customer (last_name);
create index idx_store_id_film_id  on inventory (store_id, film_id);
create index idx_title             on film (title);
create unique index idx_unq_manager_staff_id on store (manager_staff_id);
create unique index idx_unq_rental_rental_date_inventory_id_customer_id
    on rental (rental_date, inventory_id, customer_id);

alter table address add constraint fk_address_city
    foreign key (city_id) references city (city_id);
alter table city add constraint fk_city
    foreign key (country_id) references country (country_id);
alter table customer add constraint customer_address_id_fkey
    foreign key (address_id) references address (address_id) on update cascade on delete restrict;
alter table film add constraint film_language_id_fkey
    foreign key (language_id) references language (language_id) on update cascade on delete restrict;
alter table film_actor add constraint film_actor_actor_id_fkey
    foreign key (actor_id) references actor (actor_id) on update cascade on delete restrict;
alter table film_actor add constraint film_actor_film_id_fkey
    foreign key (film_id) references film (film_id) on update cascade on delete restrict;
alter table film_category add constraint film_category_category_id_fkey
    foreign key (category_id) references category (category_id) on update cascade on delete restrict;
alter table film_category add constraint film_category_film_id_fkey
    foreign key (film_id) references film (film_id) on update cascade on delete restrict;
alter table inventory add constraint inventory_film_id_fkey
    foreign key (film_id) references film (film_id) on update cascade on delete restrict;
alter table payment add constraint payment_customer_id_fkey
    foreign key (customer_id) references customer (customer_id) on update cascade on delete restrict;
alter table payment add constraint payment_rental_id_fkey
    foreign key (rental_id) references rental (rental_id) on update cascade on delete set null;
alter table payment add constraint payment_staff_id_fkey
    foreign key (staff_id) references staff (staff_id) on update cascade on delete restrict;
alter table rental add constraint rental_customer_id_fkey
    foreign key (customer_id) references customer (customer_id) on update cascade on delete restrict;
alter table rental add constraint rental_inventory_id_fkey
    foreign key (inventory_id) references inventory (inventory_id) on update cascade on delete restrict;
alter table rental add constraint rental_staff_id_key
    foreign key (staff_id) references staff (staff_id);
alter table staff add constraint staff_address_id_fkey
    foreign key (address_id) references address (address_id) on update cascade on delete restrict;
alter table store add constraint store_address_id_fkey
    foreign key (address_id) references address (address_id) on update cascade on delete restrict;
alter table store add constraint store_manager_staff_id_fkey
    foreign key (manager_staff_id) references staff (staff_id) on update cascade on delete restrict;
