"""The environment as one typed object; nothing else in the project reads ``os.environ``."""

from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from dvd_rental_dagster.catalog import STREAMS, Stream, load_catalog
from dvd_rental_dagster.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parents[1]


class Engine(StrEnum):
    """Who moves rows from the source to the warehouse."""

    EMBEDDED = "embedded"
    AIRBYTE = "airbyte"


class Warehouse(StrEnum):
    """Where ``raw`` and everything below it lives."""

    DUCKDB = "duckdb"
    POSTGRES = "postgres"
    SNOWFLAKE = "snowflake"
    JSON = "json"


SnowflakeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", to_upper=True)]
"""A name that Snowflake takes without quotes; it is upper case there."""


class AirbyteDestination(StrEnum):
    """What Airbyte writes into."""

    SNOWFLAKE = "snowflake"
    POSTGRES = "postgres"
    LOCAL_JSON = "local_json"


class AirbyteSettings(BaseModel):
    """``DVD_RENTAL_AIRBYTE_*``: the server, and what is provisioned on it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    url: str = "http://localhost:8000"
    client_id: str | None = None
    client_secret: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    workspace_id: UUID | None = None

    name: str = Field(default="dvd_rental", min_length=1)
    destination: AirbyteDestination = AirbyteDestination.SNOWFLAKE
    history: bool = True
    history_publication: str = "airbyte_history_publication"
    history_slot: str = "airbyte_history_slot"
    full_refresh: bool = False
    schedule: Literal["manual", "cron"] = "manual"
    cron: str = "0 */5 * * * ?"

    source_host: str | None = None
    source_port: int | None = Field(default=None, ge=1, le=65535)
    source_ssl_mode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    source_ca_path: Path | None = None
    initial_waiting_seconds: int = Field(default=120, ge=120, le=2400)
    heartbeat_query: str | None = None

    tunnel_host: str | None = None
    tunnel_port: int = Field(default=22, ge=1, le=65535)
    tunnel_user: str | None = None
    tunnel_key_path: Path | None = None
    tunnel_password: SecretStr | None = None

    snowflake_user: str | None = None
    snowflake_private_key_path: Path | None = None
    snowflake_private_key_passphrase: SecretStr | None = None
    snowflake_password: SecretStr | None = None
    postgres_url: SecretStr | None = None
    postgres_ca_path: Path | None = None
    local_json_path: str = Field(default="/local/dvd_rental", pattern="^/local(/|$)")

    cancel: bool = False
    sync_limit_seconds: int = Field(default=21600, ge=1)

    @field_validator("source_ca_path", "tunnel_key_path", "snowflake_private_key_path", "postgres_ca_path")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.expanduser().absolute() if path is not None else None


class Settings(BaseSettings):
    """Every setting, read from ``DVD_RENTAL_*`` and the project's ``.env``; ``.env.example`` lists them."""

    model_config = SettingsConfigDict(
        env_prefix="DVD_RENTAL_", env_file=PROJECT_ROOT / ".env", env_ignore_empty=True, extra="ignore", frozen=True,
        env_nested_delimiter="_", env_nested_max_split=1,
    )  # fmt: skip

    home: Path = PROJECT_ROOT / ".dvd_rental"
    engine: Engine = Engine.EMBEDDED
    warehouse: Warehouse = Warehouse.DUCKDB
    warehouse_url: SecretStr | None = None
    json_path: Path | None = None

    source_url: SecretStr | None = None
    catalog: Path | None = None
    dump: Path | None = None
    scale: int = Field(default=1, ge=1, le=1000)
    seed: int = Field(default=1, ge=0)

    role: str = "airbyte"
    role_password: SecretStr | None = None
    publication: str = "airbyte_publication"
    slot: str = "airbyte_slot"
    max_slot_wal_keep_size: str = "4GB"

    limit_lag: ByteSize = ByteSize(1 << 30)
    limit_lag_seconds: int = Field(default=1800, ge=1)
    limit_retained_wal: ByteSize = ByteSize(2 << 30)
    limit_transaction_seconds: int = Field(default=900, ge=1)

    airbyte: AirbyteSettings = AirbyteSettings()

    snowflake_account: str | None = None
    snowflake_host: str | None = None
    snowflake_port: int = Field(default=443, ge=1, le=65535)
    snowflake_protocol: Literal["https", "http"] = "https"
    snowflake_user: str | None = None
    snowflake_password: SecretStr | None = None
    snowflake_private_key_path: Path | None = None
    snowflake_private_key_passphrase: SecretStr | None = None
    snowflake_role: SnowflakeName | None = None
    snowflake_loader_role: SnowflakeName | None = None
    snowflake_warehouse: SnowflakeName = "DVD_RENTALS"
    snowflake_database: SnowflakeName = "DVD_RENTALS"
    snowflake_schema: SnowflakeName = "PUBLIC"

    @field_validator("home", "dump", "catalog", "json_path", "snowflake_private_key_path")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.expanduser().absolute() if path is not None else None

    @cached_property
    def streams(self) -> tuple[Stream, ...]:
        """What is replicated: the fifteen streams of DVD Rental, or those of the catalog file.

        Raises:
            CatalogError: the file is missing or wrong.
        """
        return STREAMS if self.catalog is None else load_catalog(self.catalog)

    @cached_property
    def postgres_path(self) -> Path:
        """Folder of the embedded PostgreSQL: data, credentials and log."""
        return self.home / "postgres"

    @cached_property
    def duckdb_path(self) -> Path:
        """The embedded warehouse's file; written by one process at a time."""
        return self.home / "warehouse.duckdb"

    @cached_property
    def json_folder(self) -> Path:
        """Where the JSON lines go that the embedded engine writes; written by one process at a time."""
        return self.json_path or self.home / "json"

    @cached_property
    def dagster_path(self) -> Path:
        """Dagster's own folder: run history, event log, schedules."""
        return self.home / "dagster"

    @cached_property
    def published_path(self) -> Path:
        """What people read while runs go on; replaced by atomic renames."""
        return self.home / "published"

    @cached_property
    def logs_path(self) -> Path:
        """Log files of the servers that the project starts."""
        return self.home / "logs"


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        SettingsError: a value is not of its type; the message names every such setting.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"DVD_RENTAL_{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"The settings cannot be used. {problems}. See .env.example for each setting.") from error
