"""Whether what people read still shows everything that the source holds."""

from dvd_rental_dagster.build_record import recorded_build
from dvd_rental_dagster.ingestion import pending
from dvd_rental_dagster.settings import Engine, Settings
from dvd_rental_dagster.transformation.project import fingerprint


def is_current(settings: Settings) -> bool:
    """Whether the last build still stands: the same dbt project, and nothing pending in the log.

    The source must be up. With Airbyte nobody can tell, for it lets go of the log one sync late.
    """
    if settings.engine is Engine.AIRBYTE:
        return False
    build = recorded_build(settings)
    return build is not None and build.fingerprint == fingerprint() and not pending(settings).streams
