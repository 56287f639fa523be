"""Through an SSH tunnel a sync ends where it does without; a tunnel that breaks is named, and its return is enough."""

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from proxy import Proxy
from replica import Replica

from dvd_rental_dagster.errors import SourceUnreachableError
from dvd_rental_dagster.source.account import Account, server_account
from dvd_rental_dagster.source.connection_string import build, parts
from dvd_rental_dagster.source.listening import HOST, free_port

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
SSH = shutil.which("ssh")
LOG = b"START_REPLICATION"
SNAPSHOT = b'COPY (select "id"'
MIDDLE = 40_003  # bytes

# PAM, as Debian has it: without, no account that has no password may come in, by key either.
_SSHD = """
    ListenAddress {host}:{port}
    HostKey {folder}/host
    AuthorizedKeysFile {folder}/user.pub
    PidFile none
    UsePAM yes
    StrictModes no
    PasswordAuthentication no
    KbdInteractiveAuthentication no
"""


@dataclass(frozen=True)
class Gateway:
    """An SSH server on the loopback; ``folder`` holds the keys of both sides."""

    folder: Path
    port: int
    user: str

    @contextmanager
    def tunnel(self, port: int, target: int) -> Iterator[subprocess.Popen[str]]:
        """Forward a port of ours to one of the gateway's, as docs/replication.md says."""
        files = f"-oIdentityFile={self.folder}/identity", f"-oUserKnownHostsFile={self.folder}/known_hosts"
        alone = "-oIdentitiesOnly=yes", "-oIdentityAgent=none", "-oBatchMode=yes", "-F", os.devnull
        alive = "-oExitOnForwardFailure=yes", "-oServerAliveInterval=15", "-oServerAliveCountMax=3"
        tells = "-oPermitLocalCommand=yes", "-oLocalCommand=echo up"  # once the forwarding is there
        forward = "-N", "-L", f"{HOST}:{port}:{HOST}:{target}", "-p", str(self.port), f"{self.user}@{HOST}"
        command = [SSH or "", *files, *alone, *alive, *tells, *forward]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as ssh:
            try:
                assert ssh.stdout is not None
                assert ssh.stderr is not None
                assert ssh.stdout.readline() == "up\n", ssh.stderr.read()
                yield ssh
            finally:
                ssh.terminate()


def make_key(path: Path) -> str:
    """Make a pair of keys; returns the public one."""
    keygen = shutil.which("ssh-keygen") or ""
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path.with_name(f"{path.name}.pub").read_text()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    if SSHD is None or SSH is None:
        pytest.skip("this machine has no OpenSSH server (sshd) or client")
    with tempfile.TemporaryDirectory(prefix="gateway-") as name:
        folder = Path(name)
        # As root it runs as the account of the database, and needs neither root's settings nor its folders.
        account = server_account(folder / "none")
        user = pwd.getpwuid(account.uid).pw_name if account.switched else getpass.getuser()
        gateway = Gateway(folder, free_port(0), user)
        (folder / "known_hosts").write_text(f"[{HOST}]:{gateway.port} {make_key(folder / 'host')}")
        make_key(folder / "identity")
        (folder / "identity.pub").rename(folder / "user.pub")
        (folder / "sshd_config").write_text(_SSHD.format(host=HOST, port=gateway.port, folder=folder))
        for path in (folder, folder / "host", folder / "user.pub", folder / "sshd_config"):
            account.own(path)
        with run_sshd(folder / "sshd_config", account):
            yield gateway


@contextmanager
def run_sshd(configuration: Path, account: Account) -> Iterator[None]:
    with subprocess.Popen(
        [SSHD or "", "-D", "-e", "-f", configuration], stderr=subprocess.PIPE, text=True, **account.process_user
    ) as sshd:
        try:
            assert sshd.stderr is not None
            said = sshd.stderr.readline()
            assert "Server listening" in said, said + sshd.stderr.read()
            yield
        finally:
            sshd.terminate()


@pytest.mark.parametrize("said", [LOG, SNAPSHOT], ids=["log", "snapshot"])
def test_a_tunnel_that_breaks_is_named_and_once_it_is_back_the_sync_goes_on(
    replica: Replica, gateway: Gateway, said: bytes
) -> None:
    target, port = int(parts(replica.url)["port"]), free_port(0)
    tunnelled = replace(replica, url=build({**parts(replica.url), "port": str(port)}))
    replica.execute("insert into item select i, 'item ' || i, i, null from generate_series(1001, 4000) as i")
    with gateway.tunnel(port, target) as ssh, Proxy(tunnelled.url) as proxy:
        fault = proxy.pause(said, MIDDLE, lambda: (ssh.kill(), ssh.wait()))
        with pytest.raises(SourceUnreachableError, match=r"broke.*goes on where it stopped"):
            replace(tunnelled, url=proxy.url).sync(resync=["item"] if said == SNAPSHOT else [])
        assert fault.struck.is_set()
    with pytest.raises(SourceUnreachableError, match=f"at {HOST}:{port}/.* cannot be reached"):
        tunnelled.sync()
    with gateway.tunnel(port, target):
        tunnelled.await_free_slot()
        tunnelled.sync()
        tunnelled.assert_equal()
        tunnelled.sync(resync=["item"])
        tunnelled.assert_equal()
