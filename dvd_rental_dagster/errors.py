"""Every error the project raises on purpose; each message says what was found and what to do about it.

The command line prints ``DvdRentalError`` as one line and exits 1; any other exception is a bug and keeps its
traceback.
"""


class DvdRentalError(Exception):
    """What went wrong, and the command or setting that mends it."""


def one_line(words: object) -> str:
    """What a library or a server said, to stand within a sentence."""
    return " ".join(str(words).split()).rstrip(".")


class SettingsError(DvdRentalError):
    """A setting is missing, contradictory or not of its type."""


class CatalogError(DvdRentalError):
    """The catalog file is missing, cannot be read or does not describe what to replicate."""


# The source: the OLTP side.


class SourceError(DvdRentalError):
    """Something about the source database."""


class ServerError(SourceError):
    """The embedded PostgreSQL did not start, stop or answer."""


class SourceUnreachableError(SourceError):
    """No server answers at the source's address, or it refuses the credentials."""


class SourceLockedError(SourceError):
    """Another session keeps a table to itself for longer than is waited for."""


class ArchiveError(SourceError):
    """The archive to restore is missing, damaged or not a DVD Rental database."""


class PreparationError(SourceError):
    """The source is not ready for change data capture; the message names the setting and the fix."""


# Replication: the embedded engine.


class ReplicationError(DvdRentalError):
    """Something about the slot, the log or the ledger."""


class SlotError(ReplicationError):
    """The slot is missing, lost, in use or not the one the ledger knows."""


class SlotBusyError(SlotError):
    """Somebody reads the slot now."""


class SnapshotError(SlotError):
    """No snapshot can be taken now: an open transaction is in the way, or every slot is taken."""


class PublicationError(ReplicationError):
    """The publication is missing or does not hold a stream."""


class LedgerError(ReplicationError):
    """The warehouse's ledger does not belong to this source."""


class ProtocolError(ReplicationError):
    """The server sent something that pgoutput's protocol does not allow."""


class StreamTableError(ReplicationError):
    """A stream's table cannot be replicated as it is; the message names table, column and remedy."""


# The warehouse.


class WarehouseError(DvdRentalError):
    """Something about the warehouse."""


class WarehouseBusyError(WarehouseError):
    """Another process holds the warehouse's file."""


class SnowflakeError(WarehouseError):
    """The account cannot be reached, or refuses a user or a statement."""


# The graph.


class GraphError(DvdRentalError):
    """Something about dbt or Dagster."""


class RunBusyError(GraphError):
    """Another run of the graph goes on."""


# Airbyte; what the server said is part of the message.


class AirbyteError(DvdRentalError):
    """Something about the Airbyte server, or about what it answered."""


class AirbyteUnreachableError(AirbyteError):
    """No server answers at DVD_RENTAL_AIRBYTE_URL, or not in time, or it is out of order."""


class AirbyteUncertainError(AirbyteUnreachableError):
    """The answer to a request that makes something was lost, and what it makes was not found."""


class AirbyteAccessError(AirbyteError):
    """The server does not know the credentials, or they are not allowed to do this."""


class AirbyteNotFoundError(AirbyteError):
    """The server has nothing of this id."""


class AirbyteConflictError(AirbyteError):
    """Something else is under way on the server that excludes the request."""


class AirbyteRefusedError(AirbyteError):
    """The server understood the request and refuses it."""


class AirbyteAnswerError(AirbyteError):
    """The answer is not what the public API's contract says."""


class ProvisioningError(AirbyteError):
    """What is on the server cannot be told from, or turned into, what the settings ask for."""


class JobError(AirbyteError):
    """A sync of Airbyte did not do its work."""


class JobFailedError(JobError):
    """The job ended as failed."""


class JobCancelledError(JobError):
    """Somebody cancelled the job."""


class JobVanishedError(JobError):
    """The server does not know the job any more."""


class JobOverdueError(JobError):
    """The job still goes on when the time for it is over."""


class JobEmptyError(JobError):
    """The job ended as succeeded and moved nothing, although changes waited in the source."""
