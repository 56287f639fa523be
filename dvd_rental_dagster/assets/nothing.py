"""An asset that a step looked after, and where nothing was to do."""

from dagster import AssetKey, Output
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION


def nothing(key: AssetKey) -> Output[None]:
    """Report no materialization, yet let what lies below run: other streams may have changed.

    Dagster skips a step when one of its upstream outputs is missing. This metadata key is how it lets an output pass
    without an event, for observations of its own.
    """
    return Output(
        None,
        output_name=key.to_python_identifier(),
        metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True},
    )
