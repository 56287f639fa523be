"""``dvd-rental catalog``: what is replicated, from the command line."""

from pathlib import Path
from typing import Annotated

import typer

from dvd_rental_dagster.console import Format, err, out, print_rows
from dvd_rental_dagster.settings import load_settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="What is replicated: the tables of DVD Rental, or those of any other PostgreSQL database.",
)


@app.command()
def discover(
    output: Annotated[
        Path | None, typer.Option(help="The file to write; tables that it names already keep their names and modes.")
    ] = None,
    schema: Annotated[list[str] | None, typer.Option(help="A schema to look into; repeatable. All by default.")] = None,
) -> None:
    """Find the tables that can be replicated, and write them as a catalog; on the terminal when no file is named.

    Examples: `dvd-rental catalog discover --output catalog.toml`,
    `dvd-rental catalog discover --schema sales --schema stock`
    """
    from dvd_rental_dagster.catalog import dump_catalog, load_catalog  # noqa: PLC0415
    from dvd_rental_dagster.replication.discovery import discover as discover_tables  # noqa: PLC0415
    from dvd_rental_dagster.replication.session import connect  # noqa: PLC0415
    from dvd_rental_dagster.source.endpoint import source_url  # noqa: PLC0415

    known = load_catalog(output) if output is not None and output.exists() else ()
    with connect(source_url(load_settings(), local=True)) as connection:
        found = discover_tables(connection, schema or (), known)
    text = dump_catalog(found.streams, found.notes, found.left_out)
    if output is None:
        typer.echo(text, nl=False)
        return
    _write(output, text)
    for name, notes in found.notes.items():
        for note in notes:
            err.print(f"{name}: {note}", markup=False, soft_wrap=True)
    for relation, reason in found.left_out.items():
        err.print(f"left out {relation}: {reason}", markup=False, soft_wrap=True)
    if known:
        before, now = ({stream.source_name for stream in streams} for streams in (known, found.streams))
        for what, names in (("new", now - before), ("no longer found", before - now)):
            if names:
                err.print(f"{what}: {', '.join(sorted(names))}", markup=False, soft_wrap=True)
    out.print(
        f"{len(found.streams)} tables are in {output}. Read it, delete what shall not be replicated, then:\n"
        f"  export DVD_RENTAL_CATALOG={output.absolute()}\n"
        "  dvd-rental source prepare\n"
        "  dvd-rental sync",
        markup=False,
        soft_wrap=True,
    )


@app.command()
def show(form: Annotated[Format, typer.Option("--format", help="table, csv or json.")] = Format.TABLE) -> None:
    """Show what is replicated: the catalog that DVD_RENTAL_CATALOG names, else DVD Rental's.

    Examples: `dvd-rental catalog show`, `dvd-rental catalog show --format json`
    """
    rows = [
        (stream.name, stream.source_name, ", ".join(stream.primary_key), stream.mode.value)
        for stream in load_settings().streams
    ]
    print_rows(("stream", "table", "primary_key", "mode"), rows, form)


def _write(output: Path, text: str) -> None:
    """Write the file whole or not at all.

    Raises:
        CatalogError: the folder is missing or may not be written.
    """
    from dvd_rental_dagster.errors import CatalogError  # noqa: PLC0415

    partial = output.with_name(f"{output.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(output)
    except OSError as error:
        raise CatalogError(
            f"The catalog cannot be written to {output}: {error.strerror}. Name another file with --output."
        ) from error
