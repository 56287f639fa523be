"""The embedded PostgreSQL: starts, attaches, recovers and stops by itself, as root and as anybody.

The server outlives the process that starts it; every other process of the same home finds it by its pid file.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlencode

from dvd_rental_dagster.errors import ServerError, SourceUnreachableError
from dvd_rental_dagster.process import is_alive
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.source.account import Account, server_account
from dvd_rental_dagster.source.binaries import Binaries, find_binaries, shared_copy
from dvd_rental_dagster.source.cluster import (
    ENVIRONMENT,
    OWNER,
    SUPERUSER,
    last_lines,
    make_cluster,
    reachable,
    refuse_other_version,
)
from dvd_rental_dagster.source.credentials import password
from dvd_rental_dagster.source.listening import HOST, free_port, make_socket_folder, remove_socket_folder
from dvd_rental_dagster.source.postmaster import (
    PidFile,
    end_survivors,
    is_held,
    lock_for_server,
    read_pid_file,
    wait_until,
)

DATABASE = "dvdrental"

_START_SECONDS = 300  # after a crash the log since the last checkpoint, up to max_wal_size, is replayed
_STOP_SECONDS = 60
_KILL_SECONDS = 10
_PORT_ATTEMPTS = 5

# For a laptop: little memory, few checkpoints, every commit durable; the first three are for change data capture.
_OPTIONS: Mapping[str, str] = {
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "listen_addresses": HOST,
    "max_connections": "60",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedServer:
    """One PostgreSQL server and the folder ``root`` that holds its data, passwords, port and log.

    ``options`` are server settings, by PostgreSQL's names, that take the place of the embedded server's own; they and
    ``max_slot_wal_keep_size`` count from the next start. As root the server runs as ``nobody``.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_slot_wal_keep_size: str = "4GB",
        log: Path | None = None,
        options: Mapping[str, str] | None = None,
        binaries: Binaries | None = None,
    ) -> None:
        self.root = root
        self.data = root / "data"
        self.log = log or root / "postgres.log"
        self._options = {**_OPTIONS, "max_slot_wal_keep_size": max_slot_wal_keep_size, **(options or {})}
        self._binaries = binaries

    def ensure_running(self) -> None:
        """Make, recover and start the server as far as each is needed; two processes that ask at once get one server.

        Raises:
            ServerError: it cannot run; the message quotes its log and names the remedy.
        """
        if self.is_running():
            return
        with self._alone():
            if self._becomes_ready():
                return
            account = server_account(self.data)
            self._recover(account)
            programs = self.binaries.readable_by(account, self.root)
            if not self.data.exists():
                passwords = {"superuser": self.password(SUPERUSER), "owner": self.password(OWNER)}
                make_cluster(self.data, programs, account, **passwords)
            refuse_other_version(self.data, programs)
            self._start(programs, account)

    def is_running(self) -> bool:
        """Whether the server accepts connections."""
        pid_file = self._pid_file()
        return pid_file is not None and pid_file.ready and self._lives(pid_file)

    def stop(self) -> bool:
        """Stop the server, disconnecting everybody; whether it ran.

        Raises:
            ServerError: it does not stop.
        """
        if not self.root.exists():
            return False
        with self._alone():
            pid_file = self._pid_file()
            ran = pid_file is not None and self._lives(pid_file)
            if ran and pid_file is not None:
                self._stop_process(pid_file)
            if self.data.exists():
                self._recover(server_account(self.data))
            return ran

    def remove(self) -> None:
        """Stop the server and delete all it ever wrote, wherever that is."""
        self.stop()
        for folder in (shared_copy(self.root), self.root):
            if folder.exists():
                shutil.rmtree(folder)

    def url(self, database: str = DATABASE, role: str = OWNER, *, local: bool = False) -> str:
        """The connection string of a database; ``local`` goes through the unix socket, which is faster.

        Raises:
            ServerError: the server does not run.
        """
        pid_file = self._pid_file()
        if pid_file is None or not self.is_running():
            raise ServerError(f"The embedded PostgreSQL in {self.root} does not run. Start it with: dvd-rental up")
        user = f"{quote(role, safe='')}:{quote(self.password(role), safe='')}"
        if local:
            place = urlencode({"host": str(pid_file.socket_folder), "port": pid_file.port})
            return f"postgresql://{user}@/{quote(database, safe='')}?{place}"
        return f"postgresql://{user}@{HOST}:{pid_file.port}/{quote(database, safe='')}"

    def password(self, role: str) -> str:
        """The password kept for ``role``; a random one is made at the first call."""
        return password(self.root / "credentials", role)

    @property
    def binaries(self) -> Binaries:
        """PostgreSQL's programs for this process; the server may run a copy of them."""
        return self._binaries or find_binaries()

    @property
    def _running(self) -> Path:
        return self.root / "running"

    def _pid_file(self) -> PidFile | None:
        try:
            return read_pid_file(self.data)
        except PermissionError as error:
            raise ServerError(
                f"{self.root} belongs to another account. Run the command as that account, "
                "or choose a folder of your own with DVD_RENTAL_HOME."
            ) from error

    def _lives(self, pid_file: PidFile) -> bool:
        return is_alive(pid_file.pid) and is_held(self._running)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from starting or stopping the server meanwhile."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / "lock").open("w")
        except PermissionError as error:
            raise ServerError(
                f"{self.root} cannot be written: {error}. Choose a folder of your own with DVD_RENTAL_HOME."
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _becomes_ready(self) -> bool:
        """Whether a server runs, or one that an interrupted process began to start comes to run."""
        pid_file = self._pid_file()
        if pid_file is None or not self._lives(pid_file):
            return False
        wait_until(lambda: self.is_running() or not self._lives(pid_file), _START_SECONDS)
        return self.is_running()

    def _recover(self, account: Account) -> None:
        """Clear what a killed server left: processes without a postmaster, its pid file, its socket folder."""
        pid_file = self._pid_file()
        if is_held(self._running):
            if pid_file is not None and is_alive(pid_file.pid):
                raise ServerError(f"PostgreSQL, process {pid_file.pid}, does not become ready. {self._log_end()}")
            end_survivors(self.data, account)
            if not self._ends_within(_KILL_SECONDS):
                raise ServerError(
                    f"Processes of an earlier PostgreSQL still work in {self.data}. Find them with ps and end them."
                )
        if pid_file is not None:
            remove_socket_folder(pid_file.socket_folder)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _start(self, programs: Binaries, account: Account) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        port = self._last_port()
        said = ""
        for _ in range(_PORT_ATTEMPTS):
            port = free_port(port)
            log_start = self.log.stat().st_size if self.log.exists() else 0
            if self._start_on(port, programs, account):
                (self.root / "port").write_text(f"{port}\n")
                return
            said = self._log_end(log_start)
            if "could not bind" not in said:  # lc_messages is C
                break
            port = 0  # somebody took it between the look and the start
        raise ServerError(
            f"PostgreSQL did not start in {self.root}. {said} "
            "Mend what the log names, or start over with: dvd-rental reset"
        )

    def _start_on(self, port: int, programs: Binaries, account: Account) -> bool:
        """Start the server; whether it became ready."""
        sockets = make_socket_folder(account)
        options = {**self._options, "port": str(port), "unix_socket_directories": str(sockets)}
        inherited = lock_for_server(self._running)
        try:
            with self.log.open("ab") as log, reachable(self.data, account) as (folder, descriptors):
                process = subprocess.Popen(
                    [
                        *(programs.program("postgres"), "-D", folder),
                        *(f"--{name}={value}" for name, value in options.items()),
                    ],
                    cwd="/",
                    env=ENVIRONMENT,
                    pass_fds=[inherited, *descriptors],
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **account.process_user,
                )
        finally:
            os.close(inherited)
        wait_until(lambda: process.poll() is not None or self._is_ready(process.pid), _START_SECONDS)
        if process.returncode is None and self._is_ready(process.pid):
            # Waits for the server's end as long as this process lives, so that it leaves no zombie.
            threading.Thread(target=process.wait, name="embedded-postgres", daemon=True).start()
            return True
        process.kill()
        process.wait()
        remove_socket_folder(sockets)
        return False

    def _is_ready(self, pid: int) -> bool:
        pid_file = read_pid_file(self.data)
        return pid_file is not None and pid_file.ready and pid_file.pid == pid

    def _stop_process(self, pid_file: PidFile) -> None:
        # A fast stop waits for those who stream the log to read it all, which one that hangs never does.
        with (
            suppress(ServerError, SourceUnreachableError),
            connect(self.url("postgres", SUPERUSER, local=True)) as connection,
        ):
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'walsender'"
            )
        for number in (signal.SIGINT, signal.SIGQUIT):  # fast, then at once: the next start replays the log
            try:
                os.kill(pid_file.pid, number)
            except ProcessLookupError:
                return  # it ended by itself
            if self._ends_within(_STOP_SECONDS):
                remove_socket_folder(pid_file.socket_folder)
                return
        raise ServerError(f"PostgreSQL, process {pid_file.pid}, does not stop. {self._log_end()}")

    def _ends_within(self, seconds: float) -> bool:
        return wait_until(lambda: not is_held(self._running), seconds)

    def _last_port(self) -> int:
        path = self.root / "port"
        return int(path.read_text()) if path.exists() else 0

    def _log_end(self, start: int = 0) -> str:
        if not self.log.exists():
            return "There is no log."
        with self.log.open("rb") as log:
            log.seek(start)
            return f"{self.log} ends: {last_lines(log.read().decode(errors='replace'))}."
