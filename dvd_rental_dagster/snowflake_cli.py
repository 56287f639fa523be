"""``dvd-rental snowflake``: the warehouse's account, from the command line."""

from typing import Annotated

import typer

from dvd_rental_dagster.console import out, progress_bar
from dvd_rental_dagster.settings import load_settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Snowflake as the warehouse.")


@app.callback()
def snowflake() -> None:
    """Snowflake as the warehouse."""


@app.command()
def bootstrap(
    show: Annotated[bool, typer.Option("--print", help="Print the SQL; no account is needed.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Run it in the account of DVD_RENTAL_SNOWFLAKE_*.")] = False,
) -> None:
    """Make database, schemas, virtual warehouse, roles and grants; again makes only what is missing.

    Examples: `dvd-rental snowflake bootstrap --print`, `dvd-rental snowflake bootstrap --apply`
    """
    from dvd_rental_dagster.snowflake.account import connect, execute, layout  # noqa: PLC0415
    from dvd_rental_dagster.snowflake.bootstrap import bootstrap as statements  # noqa: PLC0415
    from dvd_rental_dagster.snowflake.bootstrap import script  # noqa: PLC0415

    if show == apply:
        raise typer.BadParameter("Say one of --print and --apply.")
    settings = load_settings()
    names = layout(settings)
    if show:
        typer.echo(script(names), nl=False)
        return
    with progress_bar() as progress, connect(settings) as connection:
        execute(connection, statements(names), progress)
    out.print(
        f"{names.database} is ready. Give each user its role, as docs/snowflake.md shows: "
        f"{names.role('LOADER')}, {names.role('TRANSFORMER')}, {names.role('REPORTER')}.",
        markup=False,
        soft_wrap=True,
    )
