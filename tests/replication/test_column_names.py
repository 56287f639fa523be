"""Names of columns that any source may have: kept, or refused where the warehouse could not tell them apart."""

from collections.abc import Callable

import pytest
from replica import Replica

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import DvdRentalError, StreamTableError


@pytest.mark.parametrize(
    "names",
    [
        ("Mixed Case", 'with "quotes"', "order"),
        ("naïve ☃", "select", "a, b"),
        ("_lsn", "_sequence", "sequence"),
        ("rowid", "target", "changes"),
        ("value_0", "operation", "staged"),
    ],
)
def test_any_name_of_a_column_will_do(make_replica: Callable[..., Replica], names: tuple[str, ...]) -> None:
    columns = ['"' + name.replace('"', '""') + '"' for name in names]
    table = '"Strange ""Table"""'
    definitions = ", ".join(f"{column} text" for column in columns)
    replica = make_replica(
        f"create table {table} (key integer primary key, {definitions}, big text);"
        f"alter table {table} alter column big set storage external;"
        f"insert into {table} select i, 'a', 'b', 'c', repeat('x', 9000) from generate_series(1, 9) as i",
        (Stream('Strange "Table"', ("key",)),),
    )
    replica.sync()
    replica.execute(
        *(f"update {table} set {column} = 'changed' where key < 4" for column in columns),
        f"update {table} set key = key + 100 where key = 5",
        f"delete from {table} where key = 6",
    )
    replica.sync()
    replica.assert_equal()


@pytest.mark.parametrize("name", ["_ab_cdc_lsn", "_airbyte_sequence", "_AIRBYTE_meta"])
def test_a_column_that_begins_as_ours_do_is_refused(make_replica: Callable[..., Replica], name: str) -> None:
    replica = make_replica(f'create table odd (id integer primary key, "{name}" text)', (Stream("odd", ("id",)),))
    with pytest.raises(StreamTableError, match=name):
        replica.sync()


def test_columns_that_differ_in_case_alone_are_refused(make_replica: Callable[..., Replica]) -> None:
    replica = make_replica('create table odd (id integer primary key, a text, "A" text)', (Stream("odd", ("id",)),))
    with pytest.raises(DvdRentalError, match="differ in case alone"):
        replica.sync()
