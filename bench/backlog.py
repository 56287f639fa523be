"""Changes that wait in the log: how they are made.

Triggers and foreign keys are left out (``session_replication_role``): they cost the writer, and the log does not show
them. Nor does it show whether a commit waited for the disk.
"""

from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql

from bench.source import Source
from dvd_rental_dagster.catalog import STREAMS

_SETTINGS = "set session_replication_role = replica; set synchronous_commit = off"
_MIXED_TRANSACTION = 2 * len(STREAMS)
_ALIVE = 20  # transactions between a row's birth and its death
_SMALL, _SMALL_RANGE = 10_000, 20_000  # new keys that fit a smallint
_LARGE = 10_000_000
_ALSO_UNIQUE = {("rental", "inventory_id"), ("store", "manager_staff_id")}


@dataclass(frozen=True)
class Inserts:
    """``changes`` new payments in transactions of ``size``."""

    changes: int
    size: int

    def __str__(self) -> str:
        return f"inserts, {self.size:,} a transaction"

    def write(self, source: Source) -> int:
        """Commit them and return how many there are."""
        with source.connection() as connection:
            connection.execute(_SETTINGS)
            connection.execute(
                sql.SQL(
                    """
                    do $$
                    declare last integer := (select max(payment_id) from payment);
                    begin
                        for batch in 0 .. {batches} - 1 loop
                            insert into payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date)
                            select
                                last + batch * {size} + i,
                                1 + i % 599,
                                1,
                                1 + i % 16000,
                                (i % 1000) / 100.0,
                                timestamp '2026-01-01' + (batch * {size} + i) * interval '1 second'
                            from generate_series(1, {size}) as i;
                            commit;
                        end loop;
                    end $$
                    """
                ).format(batches=sql.Literal(self.changes // self.size), size=sql.Literal(self.size))
            )
        return self.changes // self.size * self.size


@dataclass(frozen=True)
class Corrections:
    """``changes`` updates and deletes, 1 : 1, of payments that are there, in transactions of ``size``.

    They are spread over the table: each is of the first row behind a random place in its own equal part of the keys.
    """

    changes: int
    size: int

    def __str__(self) -> str:
        return f"updates and deletes of old rows, {self.size:,} a transaction"

    def write(self, source: Source) -> int:
        """Commit them and return how many there are."""
        with source.connection() as connection:
            connection.execute(_SETTINGS)
            connection.execute(
                sql.SQL(
                    """
                    do $$
                    declare
                        first integer := (select min(payment_id) from payment);
                        range integer := (select max(payment_id) from payment) - first;
                        old integer;
                    begin
                        for i in 0 .. {changes} - 1 loop
                            old := first + range * ((i + random()) / {changes});
                            select min(payment_id) into old from payment where payment_id >= old;
                            if i % 2 = 0 then
                                update payment set amount = amount + 0.01 where payment_id = old;
                            else
                                delete from payment where payment_id = old;
                            end if;
                            if (i + 1) % {size} = 0 then
                                commit;
                            end if;
                        end loop;
                    end $$
                    """
                ).format(changes=sql.Literal(self.changes), size=sql.Literal(self.size))
            )
        return self.changes


@dataclass(frozen=True)
class Mixed:
    """``changes`` inserts, updates and deletes, 1 : 2 : 1, over all tables.

    A transaction holds two for each table: a row is born and updated; some transactions later, it is updated and
    deleted.
    """

    changes: int

    def __str__(self) -> str:
        return f"inserts, updates and deletes, all {len(STREAMS)} tables"

    def write(self, source: Source) -> int:
        """Commit them and return how many there are."""
        pairs = max(self.changes // (2 * _MIXED_TRANSACTION), 1)
        with source.connection() as connection:
            connection.execute(_SETTINGS)
            tables = [_Table.read(connection, stream.name, stream.primary_key[0]) for stream in STREAMS]
            connection.execute(
                sql.SQL(
                    """
                    do $$
                    declare
                        small smallint;
                        large integer;
                        moment timestamp;
                    begin
                        for pair in 0 .. {pairs} - 1 loop
                            small := {small} + pair % {range};
                            large := {large} + pair;
                            moment := timestamp '2026-01-01' + pair * interval '1 second';
                            {births}
                            commit;
                            small := {small} + (pair - {alive}) % {range};
                            large := large - {alive};
                            {deaths}
                            commit;
                        end loop;
                    end $$
                    """
                ).format(
                    pairs=sql.Literal(pairs),
                    alive=sql.Literal(_ALIVE),
                    small=sql.Literal(_SMALL),
                    range=sql.Literal(_SMALL_RANGE),
                    large=sql.Literal(_LARGE),
                    births=sql.SQL("").join(table.insert + table.update for table in tables),
                    deaths=sql.SQL("").join(table.update + table.delete for table in tables),
                )
            )
        births, deaths = pairs, max(pairs - _ALIVE, 0)
        return (births + deaths) * _MIXED_TRANSACTION


@dataclass(frozen=True)
class _Table:
    """The statements for one table, in the variables ``small``, ``large`` and ``moment``."""

    insert: sql.Composed
    update: sql.Composed
    delete: sql.Composed

    @classmethod
    def read(cls, connection: Connection[Any], name: str, key: str) -> "_Table":
        columns = connection.execute(
            "select attname, atttypid = 'smallint'::regtype from pg_attribute"
            " where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum",
            (name,),
        ).fetchall()
        template = connection.execute(
            sql.SQL("select min({}) from {}").format(sql.Identifier(key), sql.Identifier(name))
        ).fetchone()
        values = {
            column: sql.SQL("small" if is_small else "large")
            if column == key or (name, column) in _ALSO_UNIQUE
            else sql.Identifier(column)
            for column, is_small in columns
        }
        parts = {
            "table": sql.Identifier(name),
            "columns": sql.SQL(", ").join(map(sql.Identifier, values)),
            "values": sql.SQL(", ").join(values.values()),
            "key": sql.Identifier(key),
            "new": values[key],
            "template": sql.Literal(template and template[0]),
            "moment": sql.Identifier("payment_date" if name == "payment" else "last_update"),
        }
        return cls(
            sql.SQL(
                "insert into {table} ({columns}) select {values} from {table} where {key} = {template} limit 1;\n"
            ).format(**parts),
            sql.SQL("update {table} set {moment} = moment where {key} = {new};\n").format(**parts),
            sql.SQL("delete from {table} where {key} = {new};\n").format(**parts),
        )
