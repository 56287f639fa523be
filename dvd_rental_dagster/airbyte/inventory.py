"""What is in a workspace of the server, found by name."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from dvd_rental_dagster.airbyte.answer import Connection, Workspace, read
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.errors import ProvisioningError


class Inventory:
    """One workspace: the one that is named, else the server's only one; every question is asked anew."""

    def __init__(self, client: AirbyteClient, workspace_id: UUID | None = None) -> None:
        """Find the workspace.

        Raises:
            ProvisioningError: none is named, and the server has none or several.
            AirbyteError: the server does not tell.
        """
        self._client = client
        self.workspace_id = str(workspace_id) if workspace_id is not None else self._only_workspace()

    def connection(self, name: str) -> Connection | None:
        """The connection of this name.

        Raises:
            ProvisioningError: there are several.
        """
        row = self.row("connection", name)
        return None if row is None else read(Connection, row)

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """What the server answers of every ``kind``: source, destination or connection.

        Raises:
            AirbyteError: the server does not tell.
        """
        return list(self._client.pages(f"/{kind}s", {"workspaceIds": self.workspace_id}))

    def row(self, kind: str, name: str) -> dict[str, Any] | None:
        """What the server answers of the one ``kind`` of this name.

        Raises:
            ProvisioningError: there are several.
        """
        return only(kind, name, self.rows(kind))

    def _only_workspace(self) -> str:
        workspaces = [read(Workspace, row) for row in self._client.pages("/workspaces")]
        if len(workspaces) != 1:
            names = ", ".join(f"{workspace.workspace_id} ({workspace.name})" for workspace in workspaces) or "none"
            raise ProvisioningError(
                f"Airbyte has not exactly one workspace but {names}. Set DVD_RENTAL_AIRBYTE_WORKSPACE_ID to yours."
            )
        return workspaces[0].workspace_id


def only(kind: str, name: str, rows: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The one of these rows that has this name.

    Raises:
        ProvisioningError: there are several.
    """
    named = [row for row in rows if row.get("name") == name]
    if len(named) > 1:
        ids = ", ".join(str(row.get(f"{kind}Id")) for row in named)
        raise ProvisioningError(
            f"Airbyte has {len(named)} {kind}s called {name}: {ids}. Delete all but one, or set "
            "DVD_RENTAL_AIRBYTE_NAME to a name of your own."
        )
    return named[0] if named else None
