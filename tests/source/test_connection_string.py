import pytest

from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.source.connection_string import build, database_of, parts, with_database, with_role


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop@db.example.com/rental",
        "postgresql://shop:p%40ss%2Fw%3Ard@db.example.com:6543/rental?sslmode=require",
        "postgresql://shop:secret@[::1]:5432/rental",
        "postgresql://shop:secret@/rental?host=/var/run/postgresql&port=5433",
        "postgresql://shop@/rental?host=one,two&port=5432,5433&target_session_attrs=primary",
        "host=localhost port=5432 dbname=rental user=shop password='with space'",
        "postgresql:///rental",
    ],
)
def test_a_connection_string_means_the_same_when_written_again(url: str) -> None:
    assert parts(build(parts(url))) == parts(url)


def test_a_role_takes_the_place_of_another() -> None:
    assert (
        with_role("postgresql://shop:secret@host:1/rental?sslmode=require", "airbyte", "p/w")
        == "postgresql://airbyte:p%2Fw@host:1/rental?sslmode=require"
    )


def test_a_database_takes_the_place_of_another() -> None:
    assert with_database("postgresql://shop:secret@host/rental", "other") == "postgresql://shop:secret@host/other"


def test_the_database_is_the_users_where_none_is_named() -> None:
    assert database_of("postgresql://shop@host") == "shop"


def test_what_is_no_connection_string_is_refused_without_repeating_it() -> None:
    with pytest.raises(SettingsError, match="DVD_RENTAL_SOURCE_URL") as refusal:
        parts("postgresql://shop:100%secret@host/rental")
    assert "secret" not in str(refusal.value)
