"""What becomes of types and values on the way into Snowflake, without an account."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import SettingsError, SnowflakeError, WarehouseBusyError
from dvd_rental_dagster.replication.column import Column, Kind
from dvd_rental_dagster.replication.destinations.snowflake_session import naming
from dvd_rental_dagster.replication.destinations.snowflake_types import (
    column_type,
    common_type,
    literal,
    quoted,
    staged,
    widens_in_place,
)
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.snowflake.account import credentials, opened

STREAM = Stream("item", ("id",))


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        ("number(8,2)", "number(8,2)", "number(8,2)"),
        ("number(8,2)", "number(10,4)", "number(10,4)"),
        ("number(8,2)", "number(6,4)", "number(10,4)"),
        ("number(8,2)", "number(38,0)", "varchar"),
        ("number(38,0)", "float", "varchar"),
        ("timestamp_ntz", "timestamp_tz", "varchar"),
    ],
)
def test_a_column_of_two_types_has_one_that_holds_the_values_of_both(first: str, second: str, common: str) -> None:
    assert common_type(first, second) == common_type(second, first) == common


@pytest.mark.parametrize(
    ("held", "wanted", "in_place"),
    [
        ("number(8,2)", "number(10,2)", True),
        ("number(8,2)", "number(10,4)", False),
        ("number(10,2)", "number(8,2)", False),
        ("number(10,2)", "varchar", False),
    ],
)
def test_only_more_digits_before_the_point_need_no_new_table(held: str, wanted: str, *, in_place: bool) -> None:
    assert widens_in_place(held, wanted) is in_place


def test_names_are_those_that_others_write_without_quotes() -> None:
    assert quoted("Film_ID2") == '"FILM_ID2"'
    assert quoted('straße "ä"') == '"STRAßE ""ä"""'


def test_a_text_reads_as_itself_whatever_is_in_it() -> None:
    assert literal("it's \\'") == r"'it''s \\'''"


@pytest.mark.parametrize(
    ("kind", "log", "snapshot"),
    [
        (Kind.TIMESTAMP, ["2024-02-29 12:00:00.5", None], pa.array([1_709_208_000_500_000, None], pa.timestamp("us"))),
        (Kind.TIMESTAMPTZ, ["1969-12-31 23:59:59.999999+00"], pa.array([-1], pa.timestamp("us", tz="UTC"))),
        (Kind.REAL, ["0.1", "-Infinity", "NaN"], pa.array([0.1, float("-inf"), float("nan")], pa.float32())),
        (Kind.BYTES, ["\\x00ff", "\\x"], pa.array(["\\x00ff", "\\x"])),
    ],
)
def test_snapshot_and_log_give_the_same_text(kind: Kind, log: list[str], snapshot: pa.Array) -> None:
    column = Column("odd", 0, -1, "", kind)
    from_log = staged(STREAM, column, pa.array(log, pa.string_view())).to_pylist()
    from_snapshot = staged(STREAM, column, snapshot).to_pylist()
    # Fractions of a second are six digits from one and as many as there are from the other.
    assert [text and text.replace(".5", ".500000") for text in from_log] == from_snapshot


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [(625, WarehouseBusyError, "Another transaction holds"), (630, SnowflakeError, "Statement reached its timeout")],
)
def test_only_a_lock_is_taken_for_another_writer(number: int, kind: type[Exception], said: str) -> None:
    from snowflake import connector  # noqa: PLC0415  # an extra

    with pytest.raises(kind, match=said), naming("here"):
        raise connector.ProgrammingError("Statement reached its timeout", errno=number, sqlstate="57014")


def test_a_number_of_more_decimals_than_snowflake_has_is_its_text() -> None:
    column = Column("odd", 0, -1, "numeric", Kind.DECIMAL, precision=38, scale=38)
    assert column_type(column) == "varchar"
    assert staged(STREAM, column, pa.array(["NaN", "0.1"])).to_pylist() == ["NaN", "0.1"]
    assert column_type(replace(column, scale=37)) == "number(38,37)"


def test_an_account_that_lets_nobody_in_is_named_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    from snowflake import connector  # noqa: PLC0415  # an extra

    def refuse(**_: Any) -> None:
        raise connector.DatabaseError("Incorrect username or password was specified")

    monkeypatch.setattr(connector, "connect", refuse)
    settings = Settings(
        _env_file=None, snowflake_account="acme", snowflake_user="ada",
        snowflake_password="hidden",  # noqa: S106  # opens nothing
    )  # fmt: skip
    with pytest.raises(SnowflakeError, match="account acme did not let ada in") as caught:
        opened(settings)
    assert "hidden" not in str(caught.value)
    with pytest.raises(SettingsError, match="Set DVD_RENTAL_SNOWFLAKE_ACCOUNT"):
        opened(Settings(_env_file=None))


@pytest.mark.parametrize(("locked", "passphrase"), [(True, None), (True, "wrong"), (False, "needless"), (None, None)])
def test_a_key_that_does_not_open_names_both_settings(
    tmp_path: Path, *, locked: bool | None, passphrase: str | None
) -> None:
    path = tmp_path / "key.p8"
    lock = serialization.BestAvailableEncryption(b"right") if locked else serialization.NoEncryption()
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock
    )
    path.write_bytes(b"no key" if locked is None else key)
    settings = Settings(
        _env_file=None, snowflake_account="acme", snowflake_user="ada", snowflake_private_key_path=path,
        snowflake_private_key_passphrase=passphrase,
    )  # fmt: skip
    with pytest.raises(SettingsError, match=r"PRIVATE_KEY_PATH and DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"):
        credentials(settings)


def test_a_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None, snowflake_account="acme", snowflake_user="ada", snowflake_private_key_path=tmp_path
    )
    with pytest.raises(SettingsError, match="which cannot be read: Is a directory"):
        credentials(settings)
