"""Generate a database: the schema, the rows by COPY, then keys, sequences and statistics, in one transaction."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.copy import QueuedLibpqWriter

from dvd_rental_dagster.catalog import STREAMS
from dvd_rental_dagster.errors import SourceError, SourceUnreachableError
from dvd_rental_dagster.progress import Progress, silent
from dvd_rental_dagster.source.generator.addresses import Addresses
from dvd_rental_dagster.source.generator.binary import (
    HEADER,
    TRAILER,
    Block,
    inventory_blocks,
    payment_block,
    rental_block,
)
from dvd_rental_dagster.source.generator.circulation import Circulation
from dvd_rental_dagster.source.generator.dice import Dice
from dvd_rental_dagster.source.generator.films import Films, category_rows, language_rows
from dvd_rental_dagster.source.generator.geography import Geography, country_rows
from dvd_rental_dagster.source.generator.habits import Customers
from dvd_rental_dagster.source.generator.people import actor_rows, staff_rows, store_rows
from dvd_rental_dagster.source.generator.rentals import Counter
from dvd_rental_dagster.source.generator.season import Row, Season
from dvd_rental_dagster.source.generator.stock import Stock
from dvd_rental_dagster.source.generator.volume import Volume

SCHEMA = Path(__file__).parents[1] / "schema"

_BEFORE_ROWS = ("tables.sql", "functions.sql", "views.sql", "triggers.sql")
_AFTER_ROWS = ("keys.sql",)


def generate(url: str, *, scale: int, seed: int, progress: Progress = silent) -> None:
    """Fill an empty database with generated rentals from 2024-01-01 to 2025-12-31.

    The same scale and seed give the same rows on every machine; ``Volume`` says how many, by scale. All of it is one
    transaction: a failure leaves the database empty. Memory stays below 1 GB at scale 1000.

    Args:
        url: the database, and a role that may create in its schema ``public``.
        scale: 1 to 1000; 1 has the row counts of the real database.
        seed: any whole number; chooses one of many such databases.
        progress: hears of each table, the rows written and the rows to write.

    Raises:
        SourceUnreachableError: nobody answers at ``url``, or refuses.
        SourceError: the database is not empty.
    """
    try:
        connection = psycopg.connect(url)
    except psycopg.OperationalError as error:
        raise SourceUnreachableError(f"The database to generate into cannot be reached: {error}") from error
    with connection:
        _refuse_other_tables(connection)
        connection.execute("set local search_path = public")
        connection.execute("set local maintenance_work_mem = '512MB'")
        _run(connection, _BEFORE_ROWS)
        _load(connection, Volume(scale), Dice(seed), progress)
        _set_sequences(connection)
        _run(connection, _AFTER_ROWS)
        connection.execute("analyze")


def _refuse_other_tables(connection: psycopg.Connection[Row]) -> None:
    found = connection.execute(
        "select class.oid::regclass::text from pg_class as class join pg_namespace on pg_namespace.oid = relnamespace"
        " where nspname = 'public' and relkind in ('r', 'p', 'v', 'm', 'S') order by class.relname limit 1"
    ).fetchone()
    if found:
        raise SourceError(
            f"Database {connection.info.dbname} is not empty: it has {found[0]}. Data is generated into an "
            "empty database; make one with createdb, or name another."
        )


def _run(connection: psycopg.Connection[Row], files: Iterable[str]) -> None:
    for name in files:
        connection.execute((SCHEMA / name).read_bytes())


def _load(connection: psycopg.Connection[Row], volume: Volume, dice: Dice, progress: Progress) -> None:
    """Make the rows of all tables, and write them."""
    geography = Geography(dice)
    addresses = Addresses(dice, volume, geography)
    films = Films(dice, volume)
    stock = Stock(dice, volume, films)
    customers = Customers(dice, volume, geography, addresses)
    counter = Counter(dice, volume, films, stock, customers, Circulation(dice, volume, Season(dice), stock))
    rows: Mapping[str, Iterator[Row]] = {
        "country": country_rows(),
        "city": geography.city_rows(),
        "address": addresses.rows(),
        "language": language_rows(),
        "category": category_rows(),
        "actor": actor_rows(dice, volume),
        "film": films.rows(),
        "film_actor": films.actor_rows(),
        "film_category": films.category_rows(),
        "store": store_rows(volume),
        "staff": staff_rows(dice, volume),
        "customer": customers.rows(),
    }
    for table in rows:
        _copy_rows(connection, table, rows[table])
        progress(table, volume.rows[table], volume.rows[table])
    blocks: Mapping[str, Iterator[Block]] = {
        "inventory": inventory_blocks(stock),
        "rental": (rental_block(counter.rentals(block)) for block in range(volume.scale)),
        "payment": (payment_block(counter.payments(block)) for block in range(volume.scale)),
    }
    for table in blocks:
        for done in _copy_blocks(connection, table, blocks[table]):
            progress(table, done, volume.rows[table])


def _copy_rows(connection: psycopg.Connection[Row], table: str, rows: Iterator[Row]) -> None:
    statement = sql.SQL("copy {} from stdin with (freeze)").format(sql.Identifier(table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _copy_blocks(connection: psycopg.Connection[Row], table: str, blocks: Iterator[Block]) -> Iterator[int]:
    """Write blocks while the next ones are made; yield how many rows are written."""
    statement = sql.SQL("copy {} from stdin with (format binary, freeze)").format(sql.Identifier(table))
    done = 0
    with connection.cursor() as cursor, cursor.copy(statement, writer=QueuedLibpqWriter(cursor)) as copy:
        copy.write(HEADER)
        for block in blocks:
            copy.write(block.data)
            done += block.rows
            yield done
        copy.write(TRAILER)


def _set_sequences(connection: psycopg.Connection[Row]) -> None:
    """Let each sequence go on after the largest key."""
    for stream in STREAMS:
        if len(stream.primary_key) == 1:
            (key,) = stream.primary_key
            connection.execute(
                sql.SQL("select setval({}, max({})) from {}").format(
                    sql.Literal(f"{stream.name}_{key}_seq"), sql.Identifier(key), sql.Identifier(stream.name)
                )
            )
