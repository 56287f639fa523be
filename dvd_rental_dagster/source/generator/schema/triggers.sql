-- Fifteen triggers. last_update is set at every update; payment has no such column.

create trigger film_fulltext_trigger before insert or update on film
    for each row execute function tsvector_update_trigger('fulltext', 'pg_catalog.english', 'title', 'description');

create trigger last_updated before update on actor for each row execute function last_updated();
create trigger last_updated before update on address for each row execute function last_updated();
create trigger last_updated before update on category for each row execute function last_updated();
create trigger last_updated before update on city for each row execute function last_updated();
create trigger last_updated before update on country for each row execute function last_updated();
create trigger last_updated before update on customer for each row execute function last_updated();
create trigger last_updated before update on film for each row execute function last_updated();
create trigger last_updated before update on film_actor for each row execute function last_updated();
create trigger last_updated before update on film_category for each row execute function last_updated();
create trigger last_updated before update on inventory for each row execute function last_updated();
create trigger last_updated before update on language for each row execute function last_updated();
create trigger last_updated before update on rental for each row execute function last_updated();
create trigger last_updated before update on staff for each row execute function last_updated();
create trigger last_updated before update on store for each row execute function last_updated();
