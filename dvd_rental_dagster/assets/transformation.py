"""Every dbt model as an asset, every dbt test as a check of one; one dbt invocation a run."""

from collections.abc import Iterator, Mapping
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    Failure,
    MaterializeResult,
)
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from dvd_rental_dagster.assets.ingestion import WAREHOUSE_POOL
from dvd_rental_dagster.errors import one_line
from dvd_rental_dagster.progress import listener
from dvd_rental_dagster.settings import Settings, load_settings
from dvd_rental_dagster.transformation.build import NodeResult, Status, build
from dvd_rental_dagster.transformation.project import DBT_PATH, log_path, manifest, target_path

_TOLD_FAILURES = 3


class Translator(DagsterDbtTranslator):
    """Models are keyed and grouped by their schema: ``staging``, ``marts`` or ``reports``."""

    def __init__(self) -> None:
        super().__init__(
            DagsterDbtTranslatorSettings(
                enable_asset_checks=True, enable_code_references=True, enable_source_tests_as_checks=True
            )
        )

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The schema's name."""
        group: str = dbt_resource_props["fqn"][1]
        return group


def transformation_assets(settings: Settings) -> AssetsDefinition:
    """All models of the dbt project as one multi-asset; its manifest is parsed when a file of the project changed."""
    translator = Translator()
    parsed = manifest(settings)
    project = DbtProject(DBT_PATH, target_path=target_path(settings), profiles_dir=DBT_PATH)

    @dbt_assets(manifest=parsed, dagster_dbt_translator=translator, project=project, name="models", pool=WAREHOUSE_POOL)
    def models(context: AssetExecutionContext) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
        """Build the selected models and run their tests; what lies below a failed test is not built."""
        by_id = {spec.metadata["dagster_dbt/unique_id"]: spec.key for spec in context.assets_def.specs}
        selected = [
            unique_id.rsplit(".", 1)[-1] for unique_id, key in by_id.items() if key in context.selected_asset_keys
        ]
        results = build(load_settings(), selected if context.is_subset else (), progress=listener())
        for result in results:
            if result.is_model and result.is_built:
                yield _materialization(by_id[result.unique_id], result)
        for result in results:
            check = get_asset_check_key_for_test(parsed, translator, result.unique_id, project)
            if check is not None and result.status is not Status.SKIPPED and check in context.selected_asset_check_keys:
                yield _check_result(check.asset_key, check.name, result)
        failed = [result for result in results if result.status in {Status.ERROR, Status.FAIL}]
        if failed:
            told = "; ".join(f"{result.name}: {one_line(result.message)}" for result in failed[:_TOLD_FAILURES])
            raise Failure(
                f"{len(failed)} of {len(results)} dbt nodes failed; what lies below them was not built. {told}. "
                f"dbt's log: {log_path(load_settings())}",
                metadata={result.unique_id: result.message for result in failed},
                allow_retries=False,
            )

    return models


def _materialization(key: AssetKey, result: NodeResult) -> MaterializeResult[None]:
    return MaterializeResult(
        asset_key=key, metadata={"seconds": round(result.seconds, 3), "unique_id": result.unique_id}
    )


def _check_result(key: AssetKey, name: str, result: NodeResult) -> AssetCheckResult:
    return AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=result.status is Status.PASS,
        severity=AssetCheckSeverity.WARN if result.status is Status.WARN else AssetCheckSeverity.ERROR,
        metadata={"failures": result.failures or 0, "seconds": round(result.seconds, 3), "message": result.message},
    )


def report_keys(models: AssetsDefinition) -> list[AssetKey]:
    """Keys of the models that people read."""
    return sorted(spec.key for spec in models.specs if spec.group_name == "reports")
