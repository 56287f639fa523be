"""Every way in that the settings offer Airbyte: what is sent, and what of it is shown."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fake import Fake
from pydantic import SecretStr
from wishes import SECRETS

from dvd_rental_dagster.settings import AirbyteDestination

CA = "-----BEGIN CERTIFICATE-----\nthe-authority-s-certificate-line-one\n-----END CERTIFICATE-----\n"
PLACE = {"tunnel_host": "bastion.example", "tunnel_port": 2222, "tunnel_user": "ec2-user"}
WAREHOUSE = "postgresql://writer:the-other-password@warehouse.example/analytics?sslmode=verify-full"


@dataclass(frozen=True)
class Way:
    """Settings, where in the configuration of what they arrive, as what, and the secrets among them."""

    settings: dict[str, Any]
    kind: str
    field: str
    sent: dict[str, Any]
    secrets: tuple[str, ...]


WAYS = {
    "a tunnel by a key": Way(
        {"tunnel_port": 2222}, "sources", "tunnel_method",
        {"tunnel_method": "SSH_KEY_AUTH", **PLACE,
         "ssh_key": "-----BEGIN KEY-----\nthe-tunnel-key-line-one\n-----END KEY-----\n"},
        ("the-tunnel-key-line-one",),
    ),
    "a tunnel by a password": Way(
        {"tunnel_port": 2222, "tunnel_key_path": None, "tunnel_password": SecretStr("the-tunnel-password")},
        "sources", "tunnel_method",
        {"tunnel_method": "SSH_PASSWORD_AUTH", **PLACE, "tunnel_user_password": "the-tunnel-password"},
        ("the-tunnel-password",),
    ),
    "no tunnel": Way({"tunnel_host": None}, "sources", "tunnel_method", {"tunnel_method": "NO_TUNNEL"}, ()),
    **{
        f"TLS by {mode}": Way(
            {"source_ssl_mode": mode, "source_ca_path": "the authority's"}, "sources", "ssl_mode",
            {"mode": mode, "ca_certificate": CA}, ("the-authority-s-certificate-line-one",),
        )
        for mode in ("verify-ca", "verify-full")
    },
    "TLS to PostgreSQL by verify-full": Way(
        {"destination": AirbyteDestination.POSTGRES, "postgres_url": SecretStr(WAREHOUSE),
         "postgres_ca_path": "the authority's"},
        "destinations", "ssl_mode", {"mode": "verify-full", "ca_certificate": CA},
        ("the-authority-s-certificate-line-one", "the-other-password"),
    ),
    "Snowflake by a key pair": Way(
        {}, "destinations", "credentials",
        {"auth_type": "Key Pair Authentication", "private_key_password": "the-passphrase",
         "private_key": "-----BEGIN KEY-----\nthe-snowflake-key-line-one\n-----END KEY-----\n"},
        ("the-passphrase", "the-snowflake-key-line-one"),
    ),
    "Snowflake by a password": Way(
        {"snowflake_private_key_path": None, "snowflake_private_key_passphrase": None,
         "snowflake_password": SecretStr("the-snowflake-password")},
        "destinations", "credentials",
        {"auth_type": "Username and Password", "password": "the-snowflake-password"},
        ("the-snowflake-password",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_an_apply_sends_leaves_nothing_to_plan_and_no_secret_of_it_is_printed(
    fake: Fake, run: Callable[..., tuple[int, str]], tmp_path: Path, caplog: pytest.LogCaptureFixture, way: Way
) -> None:
    caplog.set_level(logging.DEBUG)
    authority = tmp_path / "authority.pem"
    authority.write_text(CA)
    settings = {name: authority if name.endswith("ca_path") else value for name, value in way.settings.items()}
    told = ""
    for arguments in (("plan",), ("apply",), ("plan", "--check"), ("apply",), ("apply", "--secrets")):
        code, shown = run(*arguments, **settings)
        assert code == 0, shown
        told += shown
    assert told.count("The server is as the settings ask for") == 2
    names = {"dvd_rental", "dvd_rental_history"} if way.kind == "sources" else {"dvd_rental"}
    sent = {row["name"]: row["configuration"][way.field] for row in fake.rows[way.kind].values()}
    assert sent == dict.fromkeys(names, way.sent)
    for secret in (*way.secrets, *SECRETS):
        assert secret not in told + caplog.text
