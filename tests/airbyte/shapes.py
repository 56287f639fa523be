"""What the fake keeps, in the shapes in which Airbyte shows it."""

from typing import Any

from dvd_rental_dagster.catalog import STREAMS

LIVE = {"pending", "queued", "running", "incomplete"}
MASK = "**********"
SECRETS = {"password", "ssh_key", "tunnel_user_password", "private_key", "private_key_password", "ca_certificate"}


def status(job: dict[str, Any]) -> str:
    return str(job["statuses"][0])


def all_known(jobs: list[dict[str, Any]]) -> bool:
    return all(status(job) in LIVE | {"succeeded", "failed", "cancelled"} for job in jobs)


def shown_job(job: dict[str, Any]) -> dict[str, Any]:
    shown = {name: job[name] for name in ("jobId", "connectionId", "jobType", "startTime")} | {"status": status(job)}
    counts = dict(zip(("bytesSynced", "rowsSynced"), job["counts"], strict=True)) if status(job) == "succeeded" else {}
    return shown | {name: value for name, value in counts.items() if value is not None}


def shown(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    if kind == "connections":
        schedule = dict(row["schedule"])
        if "cronExpression" in schedule:
            schedule["cronExpression"] += " UTC"
        keys = {stream.name: [[column] for column in stream.primary_key] for stream in STREAMS}
        streams = [
            {**stream, "primaryKey": keys[stream["name"]], "cursorField": ["_ab_cdc_lsn"]}
            for stream in row["configurations"]["streams"]
        ]
        return {**row, "schedule": schedule, "configurations": {"streams": streams}}
    return {**row, "configuration": masked(row["configuration"])} if "configuration" in row else row


def masked(configuration: dict[str, Any]) -> dict[str, Any]:
    return {
        name: MASK if name in SECRETS else masked(value) if isinstance(value, dict) else value
        for name, value in configuration.items()
    }


def page(rows: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    limit, offset = int(query.get("limit", "20")), int(query.get("offset", "0"))
    chosen = (rows[::-1] if "orderBy" in query else rows)[offset : offset + limit]
    return {"data": chosen, "next": f"…?offset={offset + limit}" if chosen else "", "previous": ""}
