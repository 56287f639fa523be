"""A process that can connect to nothing, and what it finds there.

``load engine/warehouse …`` tells what the definitions hold under each combination of the switches, which has a fork of
its own; ``connect host:port`` tells by which of the project's ways to a server it was stopped.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

# What Python tells its audit hooks of; of libpq, by which psycopg and ADBC connect, they hear nothing.
_EVENTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}
_tried: list[str] = []


class ConnectionTried(BaseException):
    """Goes past whoever catches every exception."""


def refuse(*given: object, **named: object) -> None:
    """Note that somebody wants to connect, and stop it."""
    _tried.append(f"{given} {named}")
    raise ConnectionTried(_tried[-1])


def block() -> None:
    """Keep this process, and its forks, from connecting; there is no way back."""
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415
    import psycopg  # noqa: PLC0415

    sys.addaudithook(lambda event, arguments: refuse(event, arguments) if event in _EVENTS else None)
    for place in (psycopg, psycopg.Connection, adbc):
        place.connect = refuse


def load(combinations: Sequence[str]) -> None:
    shared = {"dagster_snowflake" for each in combinations if each.endswith("snowflake")}
    # They take seconds, and know nothing of the switches.
    for name in ("dagster", "dagster_dbt", "dbt.cli.main", *shared):
        importlib.import_module(name)
    for combination in combinations:
        if child := os.fork():
            _, status = os.waitpid(child, 0)
            assert status == 0, combination
        else:
            os.environ["DVD_RENTAL_ENGINE"], os.environ["DVD_RENTAL_WAREHOUSE"] = combination.split("/")
            say(json.dumps({"combination": combination, **_held(), "tried": _tried}))
            os._exit(0)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _held() -> dict[str, list[str]]:
    from dagster import Definitions  # noqa: PLC0415

    from dvd_rental_dagster.definitions import defs  # noqa: PLC0415

    Definitions.validate_loadable(defs)
    graph = defs.get_repository_def().asset_graph
    checks = [f"{key.asset_key.to_user_string()} {key.name}" for key in graph.asset_check_keys]
    return {"assets": sorted(key.to_user_string() for key in graph.get_all_asset_keys()), "checks": sorted(checks)}


def connect(address: str) -> None:
    import httpx  # noqa: PLC0415

    from dvd_rental_dagster.replication.bulk_session import bulk_session  # noqa: PLC0415
    from dvd_rental_dagster.replication.destinations.postgres_database import PostgresDestination  # noqa: PLC0415
    from dvd_rental_dagster.replication.session import connect, connect_replication  # noqa: PLC0415

    url = f"postgresql://{address}/any?connect_timeout=2"
    ways: dict[str, Callable[[], Any]] = {
        "session": lambda: connect(url),
        "replication": lambda: connect_replication(url),
        "bulk session": lambda: bulk_session(url).__enter__(),
        "warehouse": lambda: PostgresDestination(url).__enter__(),
        "server of Airbyte": lambda: httpx.get(f"http://{address}", timeout=2),
        "name": lambda: httpx.get("http://localhost:9", timeout=2),
    }
    for name, way in ways.items():
        try:
            way()
        except ConnectionTried:
            say(name)


if __name__ == "__main__":
    block()
    if sys.argv[1] == "load":
        load(sys.argv[2:])
    else:
        connect(sys.argv[2])
