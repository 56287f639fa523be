"""Whether the last build still stands: where it was built, and what was loaded since."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from emulation import Emulator
from home import Home

from dvd_rental_dagster.build_record import record_build, recorded_build
from dvd_rental_dagster.freshness import is_current
from dvd_rental_dagster.settings import Settings, Warehouse
from dvd_rental_dagster.snowflake.account import execute
from dvd_rental_dagster.snowflake.bootstrap import Layout, bootstrap
from dvd_rental_dagster.snowflake.session import own_connections

_HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"


@pytest.mark.xdist_group("loaded")
def test_a_sync_since_the_build_is_a_change(loaded_home: Home) -> None:
    with loaded_home.chosen() as settings:
        record_build(settings)
        written = loaded_home.warehouse.stat().st_mtime_ns
        assert is_current(settings)
        assert loaded_home.warehouse.stat().st_mtime_ns == written

        loaded_home.execute("delete from payment where payment_id = (select max(payment_id) from payment)")
        assert not is_current(settings)
        loaded_home.sync()
        assert not is_current(settings)

        record_build(settings)
        assert is_current(settings)


@pytest.mark.xdist_group("loaded")
def test_while_another_process_writes_the_build_does_not_stand(loaded_home: Home) -> None:
    with loaded_home.chosen() as settings:
        record_build(settings)
        with subprocess.Popen(
            [sys.executable, "-c", _HOLD, loaded_home.warehouse], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            holder.stdout.read(1)
            assert not is_current(settings)
            holder.communicate()
        assert is_current(settings)


@pytest.mark.skipif(not os.environ.get("DVD_RENTAL_TEST_LONG"), reason="takes a minute: DVD_RENTAL_TEST_LONG=1")
@pytest.mark.xdist_group("snowflake")
def test_a_sync_since_the_build_is_a_change_on_snowflake_too(emulator: Emulator, tmp_path: Path) -> None:
    home = Home(tmp_path / "home", emulator.settings)
    with emulator.connection as connection:
        execute(connection, bootstrap(Layout("DVD_RENTALS", "DVD_RENTALS")))
    try:
        home.sync()
        with home.chosen() as settings:
            assert not is_current(settings)
            record_build(settings, own_connections(settings))
            assert is_current(settings)
            assert not is_current(settings.model_copy(update={"snowflake_schema": "ADA"}))

            home.execute("delete from payment where payment_id = (select max(payment_id) from payment)")
            assert not is_current(settings)
            home.sync()
            assert not is_current(settings)

            record_build(settings, own_connections(settings))
            assert is_current(settings)
    finally:
        home.remove()


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"snowflake_account": "ORG-OTHER"},
        {"snowflake_database": "SHOP"},
        {"snowflake_schema": "ADA"},
        {"warehouse": Warehouse.DUCKDB},
    ],
    ids=lambda elsewhere: next(iter(elsewhere)),
)
def test_a_build_stands_only_where_it_was_built(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, elsewhere: dict[str, str]
) -> None:
    monkeypatch.setattr("dvd_rental_dagster.build_record._account_sync", lambda *_: 7)
    here = settings.model_copy(
        update={"warehouse": Warehouse.SNOWFLAKE, "snowflake_account": "org-account", "snowflake_user": "ADA"}
    )
    build = record_build(here, own_connections(here))
    assert build.sync_id == 7
    assert recorded_build(here) == build
    assert recorded_build(here.model_copy(update={"snowflake_account": "ORG-ACCOUNT"})) == build
    assert recorded_build(here.model_copy(update=elsewhere)) is None
