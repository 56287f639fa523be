"""Airbyte through its public API: what is provisioned on a server, and its syncs. Imports no Dagster."""
