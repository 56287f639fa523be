"""Makes the source ready for change data capture.

Every step looks first and changes only what is missing, so that a second preparation changes nothing. What the
connection's role may not do is told as the statement that somebody else has to run.
"""

from typing import Any

from psycopg import Connection

from dvd_rental_dagster.source.capture import Capture, Step
from dvd_rental_dagster.source.identity import set_identities
from dvd_rental_dagster.source.preflight import check_capacity, check_tables, check_version, check_wal_level
from dvd_rental_dagster.source.publication import provide_slot, publish
from dvd_rental_dagster.source.role import check_row_security, grant_reading, provide_role, set_password

_STEPS = (
    check_version,
    check_wal_level,
    check_capacity,
    check_tables,
    provide_role,
    grant_reading,
    check_row_security,
    set_password,
    set_identities,
    publish,
    provide_slot,
)


def prepare(connection: Connection[Any], capture: Capture) -> list[Step]:
    """Prepare the database of ``connection``, which has autocommit and a role that owns the tables and may make roles.

    Raises:
        PreparationError: something is missing and cannot be made from here; the message names it and the fix.
    """
    # Roles and slots are the whole server's: of two preparations at once the second finds what the first made.
    connection.execute("select pg_advisory_lock(hashtext('prepare for change data capture'))")
    try:
        return [step(connection, capture) for step in _STEPS]
    finally:
        connection.execute("select pg_advisory_unlock(hashtext('prepare for change data capture'))")
