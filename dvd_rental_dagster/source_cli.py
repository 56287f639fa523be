"""``dvd-rental source``: the OLTP side from the command line."""

from pathlib import Path
from typing import Annotated

import typer

from dvd_rental_dagster.console import out, progress_bar
from dvd_rental_dagster.settings import load_settings
from dvd_rental_dagster.source.credentials import Who

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", help="The source database: fill it, prepare it, find it."
)


@app.command()
def url(
    role: Annotated[Who, typer.Option(help="owner, or the role that reads the log.")] = "owner",
) -> None:
    """Print the source's connection string.

    Examples: `dvd-rental source url`, `psql "$(dvd-rental source url --role airbyte)"`
    """
    from dvd_rental_dagster.source.endpoint import source_url  # noqa: PLC0415

    typer.echo(source_url(load_settings(), role))


@app.command()
def restore(
    archive: Annotated[Path, typer.Argument(help="dvdrental.tar, or the zip that the tutorial distributes.")],
) -> None:
    """Replace the source database by an archive's; a bad archive leaves it as it was.

    Example: `dvd-rental source restore dvdrental.zip`
    """
    from dvd_rental_dagster.source.endpoint import restore_source  # noqa: PLC0415

    settings = load_settings()
    with progress_bar() as progress:
        restore_source(settings, archive, progress)
    out.print(
        f"Restored {archive}. If a warehouse was loaded before, load it again: dvd-rental resync.", soft_wrap=True
    )


@app.command()
def generate(
    scale: Annotated[int | None, typer.Option(min=1, max=1000, help="Multiplies rentals, payments, customers.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same rows.")] = None,
) -> None:
    """Replace the source database by generated data of the same fifteen tables.

    Example: `dvd-rental source generate --scale 10 --seed 7`
    """
    from dvd_rental_dagster.source.endpoint import generate_source  # noqa: PLC0415

    settings = load_settings()
    scale = settings.scale if scale is None else scale
    seed = settings.seed if seed is None else seed
    with progress_bar() as progress:
        generate_source(settings, scale=scale, seed=seed, progress=progress)
    out.print(
        f"Generated scale {scale}, seed {seed}. If a warehouse was loaded before, load it again: dvd-rental resync.",
        soft_wrap=True,
    )


@app.command()
def fill() -> None:
    """Make the source's database when there is none yet, from DVD_RENTAL_DUMP or generated, and prepare it.

    Example: `dvd-rental source fill`
    """
    from dvd_rental_dagster.source.endpoint import fill_source  # noqa: PLC0415

    with progress_bar() as progress:
        made = fill_source(load_settings(), progress)
    out.print("The source is filled and prepared." if made else "The source was filled before; it is prepared.")


@app.command()
def prepare() -> None:
    """Set the source up for change data capture: role, privileges, publication, slot; again changes nothing.

    Example: `dvd-rental source prepare`
    """
    from dvd_rental_dagster.source.endpoint import prepare_source  # noqa: PLC0415

    settings = load_settings()
    for step in prepare_source(settings):
        out.print(f"{'made' if step.changed else 'found':6}{step.name}: {step.detail}", markup=False, soft_wrap=True)
