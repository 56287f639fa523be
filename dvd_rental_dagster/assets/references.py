"""Links from an asset in Dagster's UI to the lines that define it."""

import warnings
from collections.abc import Sequence
from typing import Any

from dagster import BetaWarning, with_source_code_references


def with_code_references(assets: Sequence[Any]) -> Sequence[Any]:
    """The same assets, each with its place in the code; Dagster calls the feature beta, and says so for every asset."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        return with_source_code_references(list(assets))
