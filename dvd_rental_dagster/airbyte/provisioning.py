"""Makes the server what the settings ask for: looks first, changes only what differs, and looks again."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from dvd_rental_dagster.airbyte.answer import Connection, Connector, Destination, Source, read
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.airbyte.connection_fields import (
    change_body,
    changes_streams,
    connection_differences,
    creation_body,
)
from dvd_rental_dagster.airbyte.difference import differences
from dvd_rental_dagster.airbyte.inventory import Inventory, only
from dvd_rental_dagster.airbyte.plan import Action, Kind, Plan, Step
from dvd_rental_dagster.airbyte.wanted import Wanted, WantedConnection, WantedConnector
from dvd_rental_dagster.errors import AirbyteNotFoundError, ProvisioningError

Told = Callable[[Kind, str, str], None]
"""Hears what was done: kind, name, and a word as ``created``."""


@dataclass(frozen=True)
class Provisioning:
    """A workspace and what is wanted in it. A thing's name is what it is known by."""

    client: AirbyteClient
    inventory: Inventory
    wanted: Wanted

    def plan(self) -> Plan:
        """Compare, and change nothing.

        Raises:
            ProvisioningError: a thing of a wanted name is of another kind, or ties other things together.
            AirbyteError: the server does not tell.
        """
        rows = {kind: self.inventory.rows(kind) for kind in Kind}
        row = only(Kind.DESTINATION, self.wanted.destination.name, rows[Kind.DESTINATION])
        destination = None if row is None else read(Destination, row)
        steps = [_connector_step(Kind.DESTINATION, self.wanted.destination, destination)]
        sources: dict[str, str | None] = {}
        for source in self.wanted.sources:
            row = only(Kind.SOURCE, source.name, rows[Kind.SOURCE])
            found = None if row is None else read(Source, row)
            sources[source.name] = None if found is None else found.id
            steps.append(_connector_step(Kind.SOURCE, source, found))
        destination_id = None if destination is None else destination.id
        for connection in self.wanted.connections:
            row = only(Kind.CONNECTION, connection.name, rows[Kind.CONNECTION])
            there = None if row is None else read(Connection, row)
            if there is not None:
                _check_ends(there, sources[connection.name], destination_id)
            id_ = None if there is None else there.connection_id
            steps.append(Step(Kind.CONNECTION, connection.name, id_, connection_differences(connection, there)))
        return Plan(self.inventory.workspace_id, tuple(steps))

    def apply(self, told: Told, *, secrets: bool = False) -> Plan:
        """Do what the plan says, and look whether the server is then as wanted; what was planned.

        Args:
            told: hears of each change.
            secrets: write every source and destination again, for the server does not tell whether a secret differs.

        Raises:
            ProvisioningError: the server took the changes and is still not as wanted.
            AirbyteError: a change failed; those before it stay, and a second time goes on from there.
        """
        plan = self.plan()
        connectors = {(Kind.DESTINATION, self.wanted.destination.name): self.wanted.destination}
        connectors |= {(Kind.SOURCE, source.name): source for source in self.wanted.sources}
        connections = {connection.name: connection for connection in self.wanted.connections}
        ids: dict[tuple[Kind, str], str] = {}
        for step in plan.steps:
            place = (step.kind, step.name)
            if step.kind is Kind.CONNECTION:
                self._provide_connection(step, connections[step.name], ids, told)
            else:
                ids[place] = self._provide_connector(step, connectors[place], told, secrets=secrets)
        left = [
            f"{step.kind} {step.name}: {', '.join(difference.field for difference in step.differences) or 'missing'}"
            for step in self.plan().steps
            if step.action is not Action.KEEP
        ]
        if left:
            raise ProvisioningError(
                f"Airbyte took every change and still differs in {'; '.join(left)}. "
                "See what it has made of them: dvd-rental airbyte plan."
            )
        return plan

    def _provide_connector(self, step: Step, wanted: WantedConnector, told: Told, *, secrets: bool) -> str:
        """The id of the source or destination, which is then as wanted."""
        if step.id is not None:
            if step.action is Action.CHANGE or secrets:
                self.client.put(
                    f"/{step.kind}s/{step.id}", {"name": wanted.name, "configuration": _typed(step, wanted)}
                )
                told(step.kind, step.name, "changed" if step.action is Action.CHANGE else "written again")
            return step.id
        body: dict[str, Any] = {
            "name": wanted.name,
            "workspaceId": self.inventory.workspace_id,
            "configuration": _typed(step, wanted),
        }
        if wanted.definition_id is not None:
            body["definitionId"] = wanted.definition_id
        made = self.client.create(f"/{step.kind}s", body, lambda: self.inventory.row(step.kind, step.name))
        told(step.kind, step.name, "created")
        return str(made[f"{step.kind}Id"])

    def _provide_connection(
        self, step: Step, wanted: WantedConnection, ids: dict[tuple[Kind, str], str], told: Told
    ) -> None:
        if step.action is Action.CREATE:
            source_id = ids[Kind.SOURCE, wanted.name]
            destination_id = ids[Kind.DESTINATION, self.wanted.destination.name]
            body = creation_body(wanted, source_id, destination_id)
            self.client.create("/connections", body, lambda: self.inventory.row(step.kind, step.name), slow=True)
            told(step.kind, step.name, "created")
        elif step.action is Action.CHANGE:
            body = change_body(wanted, step.differences)
            self.client.patch(f"/connections/{step.id}", body, slow=changes_streams(step.differences))
            told(step.kind, step.name, "changed")


def present(inventory: Inventory, names: Collection[str]) -> list[Step]:
    """Everything of these names in the workspace, connections first.

    Raises:
        ProvisioningError: several things of a kind have one name.
        AirbyteError: the server does not tell.
    """
    found: list[Step] = []
    for kind in (Kind.CONNECTION, Kind.SOURCE, Kind.DESTINATION):
        rows = inventory.rows(kind)
        for name in names:
            row = only(kind, name, rows)
            if row is not None:
                found.append(Step(kind, name, str(row[f"{kind}Id"])))
    return found


def destroy(client: AirbyteClient, steps: Collection[Step], told: Told) -> None:
    """Delete these things in their order; what is gone already is as wanted.

    Raises:
        AirbyteError: the server refuses; what was deleted before stays deleted.
    """
    for step in steps:
        try:
            client.delete(f"/{step.kind}s/{step.id}")
        except AirbyteNotFoundError:
            told(step.kind, step.name, "was gone")
        else:
            told(step.kind, step.name, "deleted")


def _typed(step: Step, wanted: WantedConnector) -> dict[str, Any]:
    """The configuration with the type that the API wants in it, where the type has a name there."""
    if wanted.definition_id is not None:
        return wanted.configuration
    return {f"{step.kind}Type": wanted.type, **wanted.configuration}


def _connector_step(kind: Kind, wanted: WantedConnector, found: Connector | None) -> Step:
    if found is None:
        return Step(kind, wanted.name, None, tuple(differences(wanted.configuration, {})))
    expected = wanted.definition_id or wanted.type
    actual = found.definition_id if wanted.definition_id is not None else found.type
    if actual != expected:
        raise ProvisioningError(
            f"Airbyte has a {kind} called {found.name} of the type {found.type}, not {wanted.type}. Delete it, or set "
            "DVD_RENTAL_AIRBYTE_NAME to a name of your own."
        )
    configuration = {name: value for name, value in found.configuration.items() if name != f"{kind}Type"}
    return Step(kind, wanted.name, found.id, tuple(differences(wanted.configuration, configuration)))


def _check_ends(connection: Connection, source_id: str | None, destination_id: str | None) -> None:
    if (connection.source_id, connection.destination_id) != (source_id, destination_id):
        raise ProvisioningError(
            f"The connection {connection.name} reads from or writes to something else than the source and destination "
            "of our names, and that cannot be changed. Delete it in Airbyte, or set DVD_RENTAL_AIRBYTE_NAME to a name "
            "of your own."
        )
