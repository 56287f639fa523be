"""The role that captures changes: it may log in, replicate and read, and nothing else."""

from typing import Any

import psycopg
from psycopg import Connection, sql

from dvd_rental_dagster.errors import PreparationError
from dvd_rental_dagster.source.capture import Capture, Step, change, identifier, is_rds, one_row

_CONNECT_TIMEOUT_SECONDS = 10


def provide_role(connection: Connection[Any], capture: Capture) -> Step:
    """Make the role, or give it the right to log in and to replicate; on RDS that comes with ``rds_replication``.

    Raises:
        PreparationError: the connection's role may not make or change roles.
    """
    can_login, can_replicate, is_member = connection.execute(
        """
        select
            rolcanlogin,
            rolreplication or rolsuper,
            exists (
                select 1
                from pg_auth_members
                where member = pg_roles.oid and roleid::regrole::text = 'rds_replication'
            )
        from pg_roles
        where rolname = %(role)s
        """,
        {"role": capture.role},
    ).fetchone() or (None, None, None)
    role = sql.Identifier(capture.role)
    on_rds = is_rds(connection)
    statements = []
    if can_login is None:
        verifier = sql.Literal(_verifier(connection, capture))
        statements.append(sql.SQL("create role {} login password {}").format(role, verifier))
    elif not can_login:
        statements.append(sql.SQL("alter role {} login").format(role))
    if on_rds and not is_member:
        statements.append(sql.SQL("grant rds_replication to {}").format(role))
    elif not on_rds and not can_replicate:
        statements.append(sql.SQL("alter role {} replication").format(role))
    for statement in statements:
        change(connection, statement)
    return Step("role", f"{capture.role} may log in and replicate", changed=bool(statements))


def grant_reading(connection: Connection[Any], capture: Capture) -> Step:
    """Let the role read the streams' tables and those made later in their schemas.

    Raises:
        PreparationError: the connection's role may not grant it.
    """
    missing = _missing_rights(connection, capture)
    for statement in missing:
        change(connection, statement)
    # a grant without the right to grant is only warned of
    if missing and (refused := _missing_rights(connection, capture)):
        raise PreparationError(
            f"The role {connection.info.user} may not let {capture.role} read. Let the owner of the database run: "
            + " ".join(f"{statement.as_string(connection)};" for statement in refused)
        )
    return Step("rights", f"{capture.role} reads the tables", changed=bool(missing))


def check_row_security(connection: Connection[Any], capture: Capture) -> Step:
    """No policy hides rows from the role: a snapshot would lack them and nobody would be told.

    Raises:
        PreparationError: a table has row security and the role does not pass it by.
    """
    secured = one_row(
        connection,
        """
        select array_agg(pg_class.oid::regclass::text order by pg_class.relname)
        from unnest(%(schemas)s::text[], %(tables)s::text[]) as wanted (schema_name, table_name)
        inner join pg_namespace on wanted.schema_name = pg_namespace.nspname
        inner join pg_class on pg_namespace.oid = pg_class.relnamespace and wanted.table_name = pg_class.relname
        inner join pg_roles on pg_roles.rolname = %(role)s
        where pg_class.relrowsecurity and not pg_roles.rolbypassrls and not pg_roles.rolsuper
        """,
        {"role": capture.role, **capture.places},
    )[0]
    if secured:
        raise PreparationError(
            f"Row-level security would hide rows of {', '.join(secured)} from {capture.role}. "
            f"As a superuser: alter role {capture.role} bypassrls; "
            f"or as the owner: alter table {secured[0]} disable row level security;"
        )
    return Step("row security", f"hides nothing from {capture.role}")


def set_password(connection: Connection[Any], capture: Capture) -> Step:
    """Give the role its password where it cannot log in with it yet.

    Raises:
        PreparationError: the role has a password of somebody's choice, or cannot log in with the right one.
    """
    unchanged = Step("password", f"{capture.role} logs in")
    if connection.info.user == capture.role or _refusal(connection, capture) is None:
        return unchanged
    if not capture.may_set_password:
        raise PreparationError(
            f"The role {capture.role} exists and its password is not known here. "
            "Tell it with DVD_RENTAL_ROLE_PASSWORD, or name another role with DVD_RENTAL_ROLE."
        )
    verifier = sql.Literal(_verifier(connection, capture))
    change(connection, sql.SQL("alter role {} password {}").format(sql.Identifier(capture.role), verifier))
    if refusal := _refusal(connection, capture):
        raise PreparationError(
            f"The role {capture.role} cannot log in: {refusal}. Let it in with a line in the server's pg_hba.conf."
        )
    return Step("password", f"{capture.role} logs in", changed=True)


def _missing_rights(connection: Connection[Any], capture: Capture) -> list[sql.Composed]:
    """Statements that let the role connect, use the schemas, read the tables, and read what this connection makes."""
    role = sql.Identifier(capture.role)
    statements = []
    if not one_row(
        connection, "select has_database_privilege(%(role)s, current_database(), 'connect')", {"role": capture.role}
    )[0]:
        database = sql.Identifier(connection.info.dbname)
        statements.append(sql.SQL("grant connect on database {} to {}").format(database, role))
    schemas = connection.execute(
        """
        select
            nspname,
            has_schema_privilege(%(role)s, pg_namespace.oid, 'usage'),
            current_user = %(role)s
            or exists (
                select 1
                from pg_default_acl
                cross join lateral aclexplode(pg_default_acl.defaclacl) as item
                where
                    pg_default_acl.defaclrole = current_user::regrole
                    and pg_default_acl.defaclnamespace = pg_namespace.oid
                    and pg_default_acl.defaclobjtype = 'r'
                    and item.grantee = (select oid from pg_roles where rolname = %(role)s)
                    and item.privilege_type = 'SELECT'
            )
        from pg_namespace
        where nspname = any(%(schemas)s)
        order by nspname
        """,
        {"role": capture.role, "schemas": capture.schemas},
    ).fetchall()
    for name, uses, reads_later in schemas:
        schema = sql.Identifier(name)
        if not uses:
            statements.append(sql.SQL("grant usage on schema {} to {}").format(schema, role))
        if not reads_later:
            later = "alter default privileges in schema {} grant select on tables to {}"
            statements.append(sql.SQL(later).format(schema, role))
    unread = {
        (schema, table)
        for schema, table in connection.execute(
            """
            select wanted.schema_name, wanted.table_name
            from unnest(%(schemas)s::text[], %(tables)s::text[]) as wanted (schema_name, table_name)
            where not has_table_privilege(
                %(role)s, format('%%I.%%I', wanted.schema_name, wanted.table_name), 'select'
            )
            """,
            {"role": capture.role, **capture.places},
        )
    }
    if tables := [identifier(stream) for stream in capture.streams if stream.source_table in unread]:
        statements.append(sql.SQL("grant select on {} to {}").format(sql.SQL(", ").join(tables), role))
    return statements


def _verifier(connection: Connection[Any], capture: Capture) -> str:
    """What the server keeps of the password (20.5 "Password Authentication"): the password itself is never sent."""
    return connection.pgconn.encrypt_password(
        capture.password.encode(), capture.role.encode(), b"scram-sha-256"
    ).decode()


def _refusal(connection: Connection[Any], capture: Capture) -> str | None:
    """Why the role cannot log in with its password; None when it can."""
    parameters: dict[str, Any] = connection.info.get_parameters()
    parameters.update(
        user=capture.role, password=capture.password, connect_timeout=_CONNECT_TIMEOUT_SECONDS, options=None
    )
    try:
        psycopg.connect(**parameters).close()
    except psycopg.OperationalError as error:
        return str(error).strip().splitlines()[-1]
    return None
