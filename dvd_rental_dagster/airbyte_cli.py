"""``dvd-rental airbyte``: what is provisioned on an Airbyte server, from the command line."""

from typing import Annotated

import typer

from dvd_rental_dagster.airbyte.plan import Action, Kind, Plan, Step
from dvd_rental_dagster.console import out
from dvd_rental_dagster.settings import Settings, load_settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Source, destination and connections on an Airbyte server: see what differs from the settings, and mend it.",
)

_SIGNS = {Action.CREATE: ("+", "green"), Action.CHANGE: ("~", "yellow"), Action.KEEP: (" ", "dim")}


@app.command()
def prepare() -> None:
    """Set the source up for Airbyte: a publication and a slot for each connection; again changes nothing.

    Example: `dvd-rental airbyte prepare`
    """
    from dvd_rental_dagster.source.endpoint import prepare_source  # noqa: PLC0415

    settings = load_settings()
    steps = prepare_source(settings)
    if settings.airbyte.history:
        history = {"publication": settings.airbyte.history_publication, "slot": settings.airbyte.history_slot}
        steps += prepare_source(settings.model_copy(update=history))
    for step in steps:
        _line(f"{'made' if step.changed else 'found':6}{step.name}: {step.detail}")


@app.command()
def plan(
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when there is anything to do.")] = False,
) -> None:
    """Show what `apply` would change on the server; change nothing.

    Examples: `dvd-rental airbyte plan`, `dvd-rental airbyte plan --check`
    """
    from dvd_rental_dagster.airbyte.server import chosen_server, provisioning  # noqa: PLC0415

    settings = load_settings()
    with chosen_server(settings.airbyte).client() as client:
        found = provisioning(client, settings, _source_url(settings)).plan()
    _show(found)
    if check and not found.is_empty:
        raise typer.Exit(1)


@app.command()
def apply(
    secrets: Annotated[
        bool,
        typer.Option("--secrets", help="Write passwords and keys again; the server never tells whether they differ."),
    ] = False,
) -> None:
    """Make the server what the settings ask for; again changes nothing.

    Examples: `dvd-rental airbyte apply`, `dvd-rental airbyte apply --secrets`
    """
    from dvd_rental_dagster.airbyte.server import chosen_server, provisioning  # noqa: PLC0415

    settings = load_settings()
    with chosen_server(settings.airbyte).client() as client:
        applied = provisioning(client, settings, _source_url(settings)).apply(_told, secrets=secrets)
    if applied.is_empty and not secrets:
        out.print("The server is as the settings ask for; nothing was changed.")


@app.command()
def destroy(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete our connections, sources and destination from the server; the data that they moved stays.

    Examples: `dvd-rental airbyte destroy`, `dvd-rental airbyte destroy --yes`
    """
    from dvd_rental_dagster.airbyte.inventory import Inventory  # noqa: PLC0415
    from dvd_rental_dagster.airbyte.provisioning import destroy as delete  # noqa: PLC0415
    from dvd_rental_dagster.airbyte.provisioning import present  # noqa: PLC0415
    from dvd_rental_dagster.airbyte.server import chosen_server  # noqa: PLC0415
    from dvd_rental_dagster.airbyte.wanted import our_names  # noqa: PLC0415

    settings = load_settings()
    with chosen_server(settings.airbyte).client() as client:
        inventory = Inventory(client, settings.airbyte.workspace_id)
        steps = present(inventory, our_names(settings))
        if not steps:
            out.print("There is nothing of ours on the server.")
            return
        for step in steps:
            _line(f"- {step.kind} {step.name}", "red")
        if not yes and not typer.confirm(f"Delete these {len(steps)} from the server?"):
            raise typer.Exit(1)
        delete(client, steps, _told)
    _line(
        "The slots at the source stay, and keep its log until they are dropped: "
        f"select pg_drop_replication_slot('{settings.slot}'), and likewise {settings.airbyte.history_slot}."
    )


def _source_url(settings: Settings) -> str:
    from dvd_rental_dagster.source.endpoint import source_url  # noqa: PLC0415

    return source_url(settings, "airbyte")


def _told(kind: Kind, name: str, what: str) -> None:
    _line(f"{what}: {kind} {name}")


def _show(found: Plan) -> None:
    """The plan as a diff: a line for a thing, and one for each field that differs."""
    _line(f"workspace {found.workspace_id}", "dim")
    for step in found.steps:
        sign, style = _SIGNS[step.action]
        _line(f"{sign} {step.kind} {step.name}", style)
        _show_differences(step)
    if found.is_empty:
        out.print(
            "The server is as the settings ask for. Secrets cannot be compared; apply --secrets writes them again."
        )
    else:
        out.print(f"To create: {found.count(Action.CREATE)}. To change: {found.count(Action.CHANGE)}.")


def _show_differences(step: Step) -> None:
    for difference in step.differences:
        if difference.found is None:
            _line(f"    + {difference.field}: {difference.wanted}", "green")
        elif difference.wanted is None:
            _line(f"    - {difference.field}: {difference.found}", "red")
        else:
            _line(f"    ~ {difference.field}: {difference.found} → {difference.wanted}", "yellow")


def _line(text: str, style: str = "") -> None:
    out.print(text, style=style, markup=False, soft_wrap=True)
