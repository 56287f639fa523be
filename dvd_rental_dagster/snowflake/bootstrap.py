"""What the warehouse needs on Snowflake, as SQL: database, schemas, compute, roles, and the least rights for each.

Every statement can run again: it makes what is missing, grants again what is granted, and leaves what an administrator
has changed since, such as the size of the warehouse. Grants on future tables cover those that do not exist yet
(Snowflake's documentation, GRANT <privileges> ... TO ROLE, "Future grants on database or schema objects").
"""

from collections.abc import Iterator
from dataclasses import dataclass

LOADED = ("RAW", "HISTORY")
"""Schemas that the loader writes."""

LEDGER = "LEDGER"
"""Schema in which the loader notes its place in the source's log, and stages what it loads."""

BUILT = ("STAGING", "MARTS", "REPORTS")
"""Schemas that dbt builds."""

READ = ("MARTS", "REPORTS")
"""Schemas that people and dashboards read."""

AUTO_SUSPEND_SECONDS = 60


@dataclass(frozen=True)
class Layout:
    """The names in an account: a database, the virtual warehouse that computes, and roles called after the database."""

    database: str
    warehouse: str

    def role(self, duty: str) -> str:
        """The role of a duty: LOADER, TRANSFORMER, DEVELOPER or REPORTER."""
        return f"{self.database}_{duty}"


def bootstrap(layout: Layout) -> tuple[str, ...]:
    """Every statement in order, without semicolons; for a user who may act as SYSADMIN and as SECURITYADMIN."""
    return (*_objects(layout), *_roles(layout), *_loading(layout), *_building(layout), *_reading(layout))


def script(layout: Layout) -> str:
    """The statements as a script for a worksheet or ``snow sql``."""
    return "".join(f"{statement};\n" for statement in bootstrap(layout))


def _objects(layout: Layout) -> Iterator[str]:
    yield "use role sysadmin"
    yield f"create database if not exists {layout.database}"
    for schema in (*LOADED, LEDGER, *BUILT):
        # Only the history cannot be had again from elsewhere; a transient schema pays for no fail-safe.
        kind = "schema" if schema == "HISTORY" else "transient schema"
        yield f"create {kind} if not exists {layout.database}.{schema}"
    yield (
        f"create warehouse if not exists {layout.warehouse} warehouse_size = 'XSMALL' "
        f"auto_suspend = {AUTO_SUSPEND_SECONDS} auto_resume = true initially_suspended = true"
    )


def _roles(layout: Layout) -> Iterator[str]:
    yield "use role securityadmin"
    for duty in ("LOADER", "TRANSFORMER", "DEVELOPER", "REPORTER"):
        role = layout.role(duty)
        yield f"create role if not exists {role}"
        yield f"grant role {role} to role sysadmin"
        yield f"grant usage on database {layout.database} to role {role}"
        yield f"grant usage on warehouse {layout.warehouse} to role {role}"


def _loading(layout: Layout) -> Iterator[str]:
    role = layout.role("LOADER")
    # Airbyte keeps a schema of its own beside those it fills.
    yield f"grant create schema on database {layout.database} to role {role}"
    for schema in (*LOADED, LEDGER):
        yield (
            "grant usage, create table, create stage, create file format "
            f"on schema {layout.database}.{schema} to role {role}"
        )


def _building(layout: Layout) -> Iterator[str]:
    for duty in ("TRANSFORMER", "DEVELOPER"):
        for schema in LOADED:
            yield from _select(layout, schema, layout.role(duty))
    for schema in BUILT:
        yield (
            f"grant usage, create table, create view on schema {layout.database}.{schema} "
            f"to role {layout.role('TRANSFORMER')}"
        )
    # A developer builds in schemas of their own only.
    yield f"grant create schema on database {layout.database} to role {layout.role('DEVELOPER')}"


def _reading(layout: Layout) -> Iterator[str]:
    for schema in READ:
        yield from _select(layout, schema, layout.role("REPORTER"))


def _select(layout: Layout, schema: str, role: str) -> Iterator[str]:
    place = f"schema {layout.database}.{schema}"
    yield f"grant usage on {place} to role {role}"
    for which in ("all", "future"):
        yield f"grant select on {which} tables in {place} to role {role}"
