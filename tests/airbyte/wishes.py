"""Settings of everything, and what they ask for."""

from collections.abc import Callable

from fake import CLIENT_SECRET

from dvd_rental_dagster.airbyte.plan import Kind
from dvd_rental_dagster.airbyte.provisioning import Provisioning

URL = "postgresql://airbyte:the-role-password@10.0.0.5:5433/dvdrental?sslmode=require"
SECRETS = (
    "the-role-password", "the-tunnel-key-line-one", "the-snowflake-key-line-one", "the-passphrase",
    "the-warehouse-password", CLIENT_SECRET,
)  # fmt: skip
Provision = Callable[..., Provisioning]


def silent(kind: Kind, name: str, what: str) -> None:
    """Hear nothing."""
