"""What is in a workspace of the server, found by name."""

from typing import Any
from uuid import UUID

from dvd_rental_dagster.airbyte.answer import Connection, Destination, Source, Workspace, read
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

    def source(self, name: str) -> Source | None:
        """The source of this name.

        Raises:
            ProvisioningError: there are several.
        """
        row = self.row("source", name)
        return None if row is None else read(Source, row)

    def destination(self, name: str) -> Destination | None:
        """The destination of this name.

        Raises:
            ProvisioningError: there are several.
        """
        row = self.row("destination", name)
        return None if row is None else read(Destination, row)

    def connection(self, name: str) -> Connection | None:
        """The connection of this name.

        Raises:
            ProvisioningError: there are several.
        """
        row = self.row("connection", name)
        return None if row is None else read(Connection, row)

    def row(self, kind: str, name: str) -> dict[str, Any] | None:
        """What the server answers of the one ``kind`` (source, destination or connection) of this name.

        Raises:
            ProvisioningError: there are several.
        """
        listed = self._client.pages(f"/{kind}s", {"workspaceIds": self.workspace_id})
        rows = [row for row in listed if row.get("name") == name]
        if len(rows) > 1:
            ids = ", ".join(str(row.get(f"{kind}Id")) for row in rows)
            raise ProvisioningError(
                f"Airbyte has {len(rows)} {kind}s called {name}: {ids}. Delete all but one, or set "
                "DVD_RENTAL_AIRBYTE_NAME to a name of your own."
            )
        return rows[0] if rows else None

    def _only_workspace(self) -> str:
        workspaces = [read(Workspace, row) for row in self._client.pages("/workspaces")]
        if len(workspaces) != 1:
            names = ", ".join(f"{workspace.workspace_id} ({workspace.name})" for workspace in workspaces) or "none"
            raise ProvisioningError(
                f"Airbyte has not exactly one workspace but {names}. Set DVD_RENTAL_AIRBYTE_WORKSPACE_ID to yours."
            )
        return workspaces[0].workspace_id
