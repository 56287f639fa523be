"""A connection as the fields that are compared, and as the bodies that make or change it."""

from typing import Any

from dvd_rental_dagster.airbyte.answer import Connection, Schedule
from dvd_rental_dagster.airbyte.difference import Difference, differences
from dvd_rental_dagster.airbyte.wanted import WantedConnection

_UTC = " UTC"
"""The server answers a cron expression with its time zone, and takes one without as of this."""
_STREAMS = "streams"


def connection_differences(wanted: WantedConnection, found: Connection | None) -> tuple[Difference, ...]:
    """Where the connection is not as wanted; all of it when there is none."""
    if found is None:
        return tuple(differences(_wanted_fields(wanted), {}))
    told = {name: value for name, value in _found_fields(wanted, found).items() if value is not None}
    # What an older server does not tell is taken to be right: to ask again would not make it tell.
    asked = {name: value for name, value in _wanted_fields(wanted).items() if name in told}
    return tuple(differences(asked, told))


def creation_body(wanted: WantedConnection, source_id: str, destination_id: str) -> dict[str, Any]:
    """The body of POST /connections."""
    return {"sourceId": source_id, "destinationId": destination_id, **_body(wanted)}


def change_body(wanted: WantedConnection, found: tuple[Difference, ...]) -> dict[str, Any]:
    """The body of PATCH; with the streams only where they differ, for those make the server look into the source."""
    body = _body(wanted)
    if not changes_streams(found):
        del body["configurations"]
    return body


def changes_streams(found: tuple[Difference, ...]) -> bool:
    """Whether a difference is one of the streams."""
    return any(difference.field.startswith(f"{_STREAMS}.") for difference in found)


def _body(wanted: WantedConnection) -> dict[str, Any]:
    schedule = {"scheduleType": "manual"}
    if wanted.cron is not None:
        schedule = {"scheduleType": "cron", "cronExpression": wanted.cron}
    namespace: dict[str, Any] = {"namespaceDefinition": "destination"}
    if wanted.namespace is not None:
        namespace = {"namespaceDefinition": "custom_format", "namespaceFormat": wanted.namespace}
    return {
        "name": wanted.name,
        "status": "active",
        "schedule": schedule,
        **namespace,
        "prefix": wanted.prefix,
        "nonBreakingSchemaUpdatesBehavior": "propagate_columns",
        "configurations": {
            "streams": [
                {"name": stream.name, "namespace": stream.namespace, "syncMode": stream.mode.value}
                for stream in wanted.streams
            ]
        },
    }


def _wanted_fields(wanted: WantedConnection) -> dict[str, Any]:
    body = _body(wanted)
    del body["name"], body["configurations"], body["schedule"]
    streams = {f"{stream.namespace}.{stream.name}": stream.mode.value for stream in wanted.streams}
    schedule = "manual" if wanted.cron is None else _cron(wanted.cron)
    return {**body, "schedule": schedule, _STREAMS: streams}


def _found_fields(wanted: WantedConnection, found: Connection) -> dict[str, Any]:
    namespaces = {stream.name: stream.namespace for stream in wanted.streams}
    streams = {
        f"{stream.namespace or namespaces.get(stream.name, '')}.{stream.name}": stream.sync_mode
        for stream in found.configurations.streams
    }
    return {
        "status": found.status,
        "schedule": _schedule(found.schedule),
        "namespaceDefinition": found.namespace_definition,
        # Without a format of its own the server keeps an old one, which then says nothing.
        "namespaceFormat": found.namespace_format if wanted.namespace is not None else None,
        "prefix": found.prefix,
        "nonBreakingSchemaUpdatesBehavior": found.non_breaking_schema_updates_behavior,
        _STREAMS: streams,
    }


def _schedule(schedule: Schedule) -> str:
    if schedule.schedule_type == "cron" and schedule.cron_expression:
        return _cron(schedule.cron_expression)
    return schedule.schedule_type


def _cron(expression: str) -> str:
    return f"cron {expression.removesuffix(_UTC)}"
