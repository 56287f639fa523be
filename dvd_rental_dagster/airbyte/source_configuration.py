"""The settings as the configuration of Airbyte's PostgreSQL source, with change data capture or without.

The fields are those of the connector's specification: docs.airbyte.com, "Postgres" among the sources.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.settings import AirbyteSettings, Settings
from dvd_rental_dagster.source.connection_string import parts

SOURCE_TYPE = "postgres"
WHOLE_TABLES = {"method": "Standard"}
"""How tables are read without their log; without a cursor too, when they are always copied whole."""
_VERIFYING = frozenset({"verify-ca", "verify-full"})


def change_data_capture(options: AirbyteSettings, *, publication: str, slot: str) -> dict[str, Any]:
    """How tables are read by their log, through this publication and slot."""
    replication: dict[str, Any] = {
        "method": "CDC",
        "plugin": "pgoutput",
        "publication": publication,
        "replication_slot": slot,
        "initial_waiting_seconds": options.initial_waiting_seconds,
        # The slot is acknowledged only up to what arrived, and a slot that lost changes is never a silent full load.
        "lsn_commit_behaviour": "After loading Data in the destination",
        "invalid_cdc_cursor_position_behavior": "Fail sync",
    }
    if options.heartbeat_query is not None:
        replication["heartbeat_action_query"] = options.heartbeat_query
    return replication


def source_configuration(settings: Settings, url: str, replication: Mapping[str, Any]) -> dict[str, Any]:
    """What the connector needs to read the source.

    Args:
        settings: how Airbyte reaches the source, where that is another way than ours.
        url: connection string of the role that captures changes.
        replication: how tables are read.

    Raises:
        SettingsError: a setting is missing, or a file that one names cannot be read.
    """
    options = settings.airbyte
    address = parts(url)
    host = options.source_host or address.get("host", "")
    if not host or host.startswith("/"):
        raise SettingsError(
            "Airbyte cannot reach the source by a socket. Set DVD_RENTAL_AIRBYTE_SOURCE_HOST to the host's name as "
            "Airbyte sees it."
        )
    return {
        "host": host,
        "port": options.source_port or int(address.get("port", "5432")),
        "database": address.get("dbname", address.get("user", "")),
        "schemas": sorted({stream.namespace for stream in settings.streams}),
        "username": address.get("user", ""),
        "password": SecretStr(address.get("password", "")),
        "ssl_mode": _source_ssl_mode(options, address.get("sslmode", "prefer")),
        "replication_method": dict(replication),
        "tunnel_method": _tunnel(options),
    }


def ssl_mode(mode: str, ca_file: Path | None, setting: str) -> dict[str, Any]:
    """TLS by libpq's name of the mode, with the authority's certificate, which ``setting`` names, where it is verified.

    Raises:
        SettingsError: there is a certificate to verify and none to verify it by.
    """
    if mode not in _VERIFYING:
        return {"mode": mode}
    if ca_file is None:
        raise SettingsError(
            f"The TLS mode {mode} needs the certificate of the authority. Set {setting} to a file in PEM."
        )
    return {"mode": mode, "ca_certificate": SecretStr(read_file(ca_file, setting))}


def read_file(path: Path, setting: str) -> str:
    """The text of a file that a setting names.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read. Set {setting} to a file of text that you may read.") from error


def _source_ssl_mode(options: AirbyteSettings, otherwise: str) -> dict[str, Any]:
    return ssl_mode(options.source_ssl_mode or otherwise, options.source_ca_path, "DVD_RENTAL_AIRBYTE_SOURCE_CA_PATH")


def _tunnel(options: AirbyteSettings) -> dict[str, Any]:
    if options.tunnel_host is None:
        return {"tunnel_method": "NO_TUNNEL"}
    if options.tunnel_user is None or (options.tunnel_key_path is None) == (options.tunnel_password is None):
        raise SettingsError(
            "The SSH tunnel lacks its user, or does not have exactly one of key and password. Set "
            "DVD_RENTAL_AIRBYTE_TUNNEL_USER and DVD_RENTAL_AIRBYTE_TUNNEL_KEY_PATH or "
            "DVD_RENTAL_AIRBYTE_TUNNEL_PASSWORD."
        )
    place = {
        "tunnel_host": options.tunnel_host,
        "tunnel_port": options.tunnel_port,
        "tunnel_user": options.tunnel_user,
    }
    if options.tunnel_key_path is None:
        return {"tunnel_method": "SSH_PASSWORD_AUTH", **place, "tunnel_user_password": options.tunnel_password}
    key = read_file(options.tunnel_key_path, "DVD_RENTAL_AIRBYTE_TUNNEL_KEY_PATH")
    return {"tunnel_method": "SSH_KEY_AUTH", **place, "ssh_key": SecretStr(key)}
