"""``dvd-rental``: the whole product from the command line."""

import json
import os
import shutil
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from dvd_rental_dagster import airbyte_cli, catalog_cli, snowflake_cli, source_cli
from dvd_rental_dagster.console import Format, err, out, print_rows, progress_bar
from dvd_rental_dagster.errors import DvdRentalError
from dvd_rental_dagster.progress import listening
from dvd_rental_dagster.settings import PROJECT_ROOT, Settings, Warehouse, load_settings

app = typer.Typer(
    name="dvd-rental",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="DVD Rental from PostgreSQL by change data capture into a warehouse, through dbt to reports.\n\n"
    "Start with `dvd-rental up`, then `dvd-rental run`, then ask with `dvd-rental query`.",
)
app.add_typer(source_cli.app, name="source")
app.add_typer(catalog_cli.app, name="catalog")
app.add_typer(airbyte_cli.app, name="airbyte")
app.add_typer(snowflake_cli.app, name="snowflake")

FormatOption = Annotated[Format, typer.Option("--format", help="table, csv or json.")]


@app.command()
def up() -> None:
    """Start the source, filled and ready for change data capture.

    Example: `dvd-rental up`
    """
    from dvd_rental_dagster.source.connection_string import without_password  # noqa: PLC0415
    from dvd_rental_dagster.source.endpoint import ensure_source  # noqa: PLC0415

    with progress_bar() as progress:
        source = ensure_source(load_settings(), progress)
    out.print(f"The source is up: {without_password(source.owner_url)}", markup=False, soft_wrap=True)


@app.command()
def down() -> None:
    """Stop the embedded source; its data stays.

    Example: `dvd-rental down`
    """
    from dvd_rental_dagster.source.endpoint import embedded_server  # noqa: PLC0415

    stopped = embedded_server(load_settings()).stop()
    out.print("The source is stopped." if stopped else "The source was not running.")


@app.command()
def sync(
    form: FormatOption = Format.TABLE,
    resync: Annotated[
        list[str] | None, typer.Option(help="A stream to load again from a snapshot; repeatable.")
    ] = None,
) -> None:
    """Move what is pending in the source's log into the warehouse, and print what moved.

    Examples: `dvd-rental sync`, `dvd-rental sync --format json`
    """
    _sync(load_settings(), form, resync or [])


@app.command()
def resync(
    streams: Annotated[list[str] | None, typer.Argument(help="Streams to load again; all when none is named.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Load streams again from a snapshot of the source; readers see the old rows until the new are complete.

    Examples: `dvd-rental resync`, `dvd-rental resync payment rental`
    """
    settings = load_settings()
    _sync(settings, form, streams or [stream.name for stream in settings.streams])


def _sync(settings: Settings, form: Format, again: list[str]) -> None:
    from dvd_rental_dagster.ingestion import sync_source  # noqa: PLC0415
    from dvd_rental_dagster.publication import publish, published_warehouse  # noqa: PLC0415
    from dvd_rental_dagster.replication.lsn import format_lsn  # noqa: PLC0415

    with progress_bar() as progress:
        report = sync_source(settings, resync=again, progress=progress)
        if settings.warehouse is Warehouse.DUCKDB and (report.changed or not published_warehouse(settings).exists()):
            publish(settings)
    if form is Format.JSON:
        streams = {name: asdict(report.streams[name]) | {"rows": report.streams[name].rows} for name in report.changed}
        summary = {
            "sync_id": report.sync_id, "start_lsn": format_lsn(report.start_lsn), "end_lsn": format_lsn(report.end_lsn),
            "transactions": report.transactions, "rows": report.rows, "seconds": report.seconds, "streams": streams,
        }  # fmt: skip
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    columns = ("stream", "snapshot", "inserted", "updated", "deleted", "truncated")
    rows = [
        (name, stream.snapshot or 0, stream.inserted, stream.updated, stream.deleted, stream.truncated)
        for name, stream in report.streams.items()
        if stream.changed
    ]
    if rows or form is Format.CSV:
        print_rows(columns, rows, form)
    if form is Format.TABLE:
        moved = f"{report.rows} rows of {len(rows)} streams" if rows else "Nothing was pending"
        out.print(f"{moved}; the log is read up to {format_lsn(report.end_lsn)}. {report.seconds:.2f} s")


@app.command()
def verify(form: FormatOption = Format.TABLE) -> None:
    """Compare source and warehouse at one place of the log, row for row; exit 1 on a difference.

    Examples: `dvd-rental verify`, `dvd-rental verify --format json`
    """
    from dvd_rental_dagster.ingestion import verify_warehouse  # noqa: PLC0415
    from dvd_rental_dagster.replication.lsn import format_lsn  # noqa: PLC0415

    with progress_bar() as progress:
        verification = verify_warehouse(load_settings(), progress=progress)
    rows = [
        (
            comparison.stream, comparison.source_rows, comparison.warehouse_rows,
            "equal" if comparison.equal else "differs",
            "; ".join(comparison.key_texts),
        )
        for comparison in verification.comparisons
    ]  # fmt: skip
    print_rows(("stream", "source_rows", "warehouse_rows", "result", "differing_keys"), rows, form)
    for obstacle in verification.obstacles.values():
        err.print(obstacle, style="red", markup=False)
    if form is Format.TABLE:
        compared_equal = all(comparison.equal for comparison in verification.comparisons)
        verdict = "equal" if compared_equal else "not equal; dvd-rental resync STREAM loads a stream again"
        out.print(f"At {format_lsn(verification.lsn)} source and warehouse are {verdict}.")
    if not verification.equal:
        raise typer.Exit(1)


@app.command()
def run() -> None:
    """Sync, build every model, test it and publish the result, as one recorded run of the graph.

    Example: `dvd-rental run`
    """
    if not _run(load_settings()):
        raise typer.Exit(1)


def _run(settings: Settings) -> bool:
    from dvd_rental_dagster.automation.execution import execute_everything  # noqa: PLC0415

    with progress_bar() as progress, listening(progress):
        progress("Loading the graph", 0, None)
        summary = execute_everything(settings)
    for failure in summary.failures:
        err.print(failure, style="red", markup=False)
    out.print(
        f"Run {summary.run_id[:8]} {'succeeded' if summary.success else 'failed'}: {len(summary.materialized)} assets, "
        f"{summary.checks_passed} checks passed, {summary.checks_failed} failed."
    )
    return summary.success


@app.command()
def demo() -> None:
    """Take the database from its log to answered questions, and print the answers.

    Example: `dvd-rental demo`
    """
    from dvd_rental_dagster.answers import print_answers  # noqa: PLC0415
    from dvd_rental_dagster.freshness import is_current  # noqa: PLC0415
    from dvd_rental_dagster.source.endpoint import ensure_source  # noqa: PLC0415
    from dvd_rental_dagster.transformation.project import check_streams  # noqa: PLC0415
    from dvd_rental_dagster.warehouse import check_models  # noqa: PLC0415

    settings = load_settings()
    check_models(settings)
    check_streams(settings)
    with progress_bar() as progress:
        ensure_source(settings, progress)
    if is_current(settings):
        out.print("Nothing changed at the source since the reports were built.")
    elif not _run(settings):
        raise typer.Exit(1)
    print_answers(settings)


@app.command()
def query(
    statement: Annotated[str, typer.Argument(help="A select over raw, history, staging, marts or reports.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Ask the warehouse, also while a run goes on.

    Example: `dvd-rental query "select * from reports.rpt_revenue_monthly" --format csv`
    """
    from dvd_rental_dagster.reading import read  # noqa: PLC0415
    from dvd_rental_dagster.warehouse import check_models  # noqa: PLC0415

    settings = load_settings()
    check_models(settings)
    answer = read(settings, statement)
    print_rows(answer.columns, answer.rows, form)


@app.command()
def status(form: FormatOption = Format.TABLE) -> None:
    """Show the source, the slot, the warehouse and what was published, and what needs looking after.

    Example: `dvd-rental status`
    """
    from dvd_rental_dagster.status import read_status  # noqa: PLC0415

    print_rows(("part", "state"), read_status(load_settings()), form)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of Dagster's web server on loopback.")] = 3000,
) -> None:
    """Open Dagster's UI with its daemon: schedules and sensors are on. Ctrl-C stops it.

    Example: `dvd-rental ui --port 3001`
    """
    from dvd_rental_dagster.automation.execution import dagster_home  # noqa: PLC0415
    from dvd_rental_dagster.source.endpoint import ensure_source  # noqa: PLC0415
    from dvd_rental_dagster.transformation.project import check_streams  # noqa: PLC0415
    from dvd_rental_dagster.warehouse import check_models  # noqa: PLC0415

    settings = load_settings()
    check_models(settings)
    check_streams(settings)
    with progress_bar() as progress:
        ensure_source(settings, progress)
    out.print(f"Dagster's UI: http://127.0.0.1:{port} (Ctrl-C stops it)")
    command = [
        sys.executable, "-m", "dagster", "dev",
        "-w", str(PROJECT_ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port),
    ]  # fmt: skip
    os.chdir(PROJECT_ROOT)
    os.environ["DAGSTER_HOME"] = dagster_home(settings)
    os.execv(sys.executable, command)  # noqa: S606  # in place of this process, so that Ctrl-C reaches it alone


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    warehouse: Annotated[
        bool, typer.Option("--warehouse", help="Remove the warehouse only, or what is noted of it; the source stays.")
    ] = False,
) -> None:
    """Remove what the project made: the source, the warehouse, the published files and Dagster's records.

    The tables of a warehouse outside DVD_RENTAL_HOME stay: Snowflake's, and PostgreSQL's.

    Examples: `dvd-rental reset`, `dvd-rental reset --warehouse --yes`
    """
    settings = load_settings()
    what = _removed(settings, warehouse)
    if not yes and not typer.confirm(f"Remove {what}?"):
        raise typer.Exit(1)
    try:
        _remove(settings, warehouse)
    except OSError as error:
        raise DvdRentalError(
            f"Not everything was removed: {error}. Stop what still works there, such as dvd-rental ui (Ctrl-C), and "
            "reset again."
        ) from error
    out.print(f"Removed {what}.", markup=False, soft_wrap=True)


def _remove(settings: Settings, warehouse: bool) -> None:
    from dvd_rental_dagster.source.endpoint import embedded_server  # noqa: PLC0415

    settings.duckdb_path.unlink(missing_ok=True)
    settings.duckdb_path.with_suffix(".duckdb.wal").unlink(missing_ok=True)
    if settings.warehouse is Warehouse.JSON:
        from dvd_rental_dagster.replication.destinations.json_folder import remove  # noqa: PLC0415

        remove(settings.json_folder)
    if settings.published_path.exists():
        shutil.rmtree(settings.published_path)
    if not warehouse:
        embedded_server(settings).remove()
        if settings.home.exists():
            shutil.rmtree(settings.home)


def _removed(settings: Settings, warehouse: bool) -> str:
    """What a reset removes, and what it cannot: the tables of a warehouse outside the home."""
    match settings.warehouse:
        case Warehouse.DUCKDB:
            return "the warehouse and what was published from it" if warehouse else f"everything in {settings.home}"
        case Warehouse.JSON:
            files = f"the lines in {settings.json_folder}"
            return files if warehouse else f"{files} and everything in {settings.home}"
        case Warehouse.POSTGRES:
            place = "the database of DVD_RENTAL_WAREHOUSE_URL"
        case Warehouse.SNOWFLAKE:
            place = f"{settings.snowflake_database} of Snowflake's account {settings.snowflake_account}"
    what = "what was noted of the warehouse" if warehouse else "everything"
    return f"{what} in {settings.home}; the tables in {place} stay"


def main() -> None:
    """Run the command line; an error of ours is one line and exit 1, an interruption exit 130."""
    try:
        app()
    except DvdRentalError as error:
        err.print("[bold red]Error:[/] ", end="")
        err.print(str(error), markup=False, soft_wrap=True)
        raise SystemExit(1) from None
