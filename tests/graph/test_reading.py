"""What ``dvd-rental query`` lets through to Snowflake, which would do whatever it is told."""

import pytest

from dvd_rental_dagster.errors import WarehouseError
from dvd_rental_dagster.reading import read
from dvd_rental_dagster.settings import Settings, Warehouse


class AskedError(Exception):
    """The query got as far as the account."""


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    def connect(_: Settings) -> None:
        raise AskedError

    monkeypatch.setattr("dvd_rental_dagster.reading.own_connections", connect)
    return Settings(warehouse=Warehouse.SNOWFLAKE)


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "-- why\nselect 'a; b', meta:sync_id::number from raw.film qualify row_number() over (order by film_id) = 1;",
        "with late as (select 1 as days) select days from late",
        "(select 1) union all select 2",
        "values (1), (2)",
        "show tables in schema raw",
        "describe table raw.film",
    ],
)
def test_a_statement_that_reads_is_asked(settings: Settings, query: str) -> None:
    with pytest.raises(AskedError):
        read(settings, query)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "delete from raw.payment",
        "/* a */ delete from raw.payment /* b */ select 1",
        "/* nightly */ insert into raw.film /* rows */ select * from raw.film",
        "with gone as (select 1) insert into raw.film select * from gone",
        "merge into raw.film using raw.staff on true when matched then delete",
        "create table raw.copy as select * from raw.film",
        "select 1; drop table raw.film",
        "with p as procedure () returns string language sql as 'begin delete from raw.film; end' call p()",
        "select 1 ->> delete from raw.film",
        "call raw.p()",
        "select 'unfinished",
    ],
)
def test_no_other_statement_is(settings: Settings, query: str) -> None:
    with pytest.raises(WarehouseError):
        read(settings, query)
