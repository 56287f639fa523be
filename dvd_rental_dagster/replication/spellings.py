"""How the source spells stored values of its own types: their text changes with the type, without a word in the log.

PostgreSQL documentation, ALTER TYPE, "RENAME VALUE", "ADD ATTRIBUTE" and "DROP ATTRIBUTE".
"""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from dvd_rental_dagster.errors import StreamTableError
from dvd_rental_dagster.replication.ledger import Ledger

# A type of the database's own may hold others: in arrays, under domains, as bounds of ranges, as attributes.
_SPELLINGS = """
with recursive used as (
    select wanted.namespace, wanted.name, attribute.atttypid as type_oid
    from unnest(%s::text[], %s::text[]) as wanted (namespace, name)
    inner join pg_catalog.pg_namespace as namespace on wanted.namespace = namespace.nspname
    inner join pg_catalog.pg_class as class on wanted.name = class.relname and namespace.oid = class.relnamespace
    inner join pg_catalog.pg_attribute as attribute on class.oid = attribute.attrelid
    where attribute.attnum > 0 and attribute.atttypid >= 16384  -- the first number that is not the server's own
    union
    select used.namespace, used.name, part.type_oid
    from used
    inner join pg_catalog.pg_type as type on used.type_oid = type.oid
    cross join lateral (
        select type.typelem as type_oid
        union all
        select type.typbasetype
        union all
        select rngsubtype from pg_catalog.pg_range
        where type.oid in (rngtypid, (to_jsonb(pg_range.*) ->> 'rngmultitypid')::oid)
        union all
        select atttypid from pg_catalog.pg_attribute where attrelid = type.typrelid and attnum > 0 and not attisdropped
    ) as part
    where part.type_oid >= 16384
)

select used.namespace, used.name, 'enum value ' || label.oid as subject, label.enumlabel::text as spelling
from used
inner join pg_catalog.pg_enum as label on used.type_oid = label.enumtypid
union all
select
    used.namespace, used.name, 'attributes of type ' || type.oid,
    string_agg(attribute.attnum::text, ' ' order by attribute.attnum)
from used
inner join pg_catalog.pg_type as type on used.type_oid = type.oid
inner join pg_catalog.pg_attribute as attribute on type.typrelid = attribute.attrelid
where attribute.attnum > 0 and not attribute.attisdropped
group by used.namespace, used.name, type.oid
order by subject
"""


def read_spellings(connection: Connection[Any], tables: set[tuple[str, str]]) -> dict[tuple[str, str], dict[str, str]]:
    """What the texts of a table's values depend on beside the values, by subject: labels of enums, and attributes.

    A subject is named by the source's number for it, which no other ever has.
    """
    names = [namespace for namespace, _ in tables], [name for _, name in tables]
    spellings: dict[tuple[str, str], dict[str, str]] = {table: {} for table in tables}
    for namespace, name, subject, spelling in connection.execute(_SPELLINGS, names):
        spellings[namespace, name][subject] = spelling
    return spellings


def check_spellings(ledger: Ledger, spellings: Mapping[str, Mapping[str, str]]) -> None:
    """Make sure that rows which are there still have the texts that they were loaded with.

    ``spellings`` are those of the streams that go on, by name.

    Raises:
        StreamTableError: a label of an enum was renamed, or a composite type has got or lost an attribute.
    """
    changed = {
        name: subject
        for name, held in sorted(spellings.items())
        for subject, spelling in ledger.streams[name].spelling.items()
        if held.get(subject, spelling) != spelling
    }
    if changed:
        name, subject = next(iter(changed.items()))
        was, now = ledger.streams[name].spelling[subject], spellings[name][subject]
        raise StreamTableError(
            f"Values of {', '.join(changed)} are written otherwise than when they were loaded: of a type of {name}'s "
            f"columns, {subject} was {was!r} and is {now!r}. The log does not tell the rows. Load again what changed: "
            f"dvd-rental resync {' '.join(changed)}."
        )
