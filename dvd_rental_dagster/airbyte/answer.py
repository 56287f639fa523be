"""What the public API answers, as far as we read it; fields that are not named here are left out."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from dvd_rental_dagster.errors import AirbyteAnswerError

_GOING_ON = frozenset({"pending", "queued", "running", "incomplete"})
_ENDED = frozenset({"succeeded", "failed", "cancelled"})


class Answer(BaseModel):
    """An object of the API; an error of its reading does not repeat it, for it can hold a token."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, alias_generator=to_camel)


class Token(Answer):
    """An access token, good for ``expires_in`` seconds."""

    access_token: str = Field(alias="access_token")
    expires_in: float = Field(alias="expires_in")


class Workspace(Answer):
    """A workspace, which holds all the rest."""

    workspace_id: str
    name: str


class Connector(Answer):
    """A source or a destination; its secrets come masked."""

    id: str
    name: str
    type: str
    definition_id: str | None = None
    workspace_id: str
    configuration: dict[str, Any]


class Source(Connector):
    """A source."""

    id: str = Field(alias="sourceId")
    type: str = Field(alias="sourceType")


class Destination(Connector):
    """A destination."""

    id: str = Field(alias="destinationId")
    type: str = Field(alias="destinationType")


class StreamChoice(Answer):
    """How a connection moves one stream; servers before 1.8 leave the namespace out."""

    name: str
    namespace: str | None = None
    sync_mode: str | None = None


class StreamChoices(Answer):
    """The streams of a connection."""

    streams: tuple[StreamChoice, ...] = ()


class Schedule(Answer):
    """When a connection runs by itself; the time zone stands at the end of the cron expression."""

    schedule_type: str
    cron_expression: str | None = None


class Connection(Answer):
    """What moves from a source to a destination."""

    connection_id: str
    name: str
    source_id: str
    destination_id: str
    workspace_id: str
    status: str
    schedule: Schedule
    configurations: StreamChoices
    namespace_definition: str | None = None
    namespace_format: str | None = None
    prefix: str | None = None
    non_breaking_schema_updates_behavior: str | None = None


class Job(Answer):
    """One sync, clear or refresh of a connection; bytes and rows as far as the server counted them."""

    job_id: int
    status: str
    job_type: str
    connection_id: str
    start_time: str
    bytes_synced: int | None = None
    rows_synced: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the status is one that the contract names."""
        return self.status in _GOING_ON | _ENDED

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes; a job of unknown status has not ended."""
        return self.status in _ENDED


class Jobs(Answer):
    """A page of jobs."""

    data: tuple[Job, ...]


_Answer = TypeVar("_Answer", bound=Answer)


def read(kind: type[_Answer], body: Mapping[str, Any]) -> _Answer:
    """The body as an object of this kind.

    Raises:
        AirbyteAnswerError: a field that we need is missing or of another type.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors(include_input=False))
        raise AirbyteAnswerError(
            f"Airbyte answered a {kind.__name__.lower()} without what the contract promises in: {fields}. "
            "Check that DVD_RENTAL_AIRBYTE_URL names the public API, and upgrade the server if it is an old one."
        ) from None
