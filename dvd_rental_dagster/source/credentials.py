"""Passwords that nobody chose: random, kept in files of their own that only their owner reads."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import Literal

Who = Literal["owner", "airbyte"]
"""Who connects: the owner of the source, or the role that captures its changes."""

_RANDOM_BYTES = 24


def password(folder: Path, role: str) -> str:
    """The password of ``role`` in ``folder``, made at the first call.

    Two processes that ask at once get the same one: a hard link is made whole or not at all.
    """
    path = folder / role
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".new-") as new:  # mkstemp makes it 0600
            new.write(secrets.token_urlsafe(_RANDOM_BYTES))
            new.flush()
            os.fsync(new.fileno())
            with contextlib.suppress(FileExistsError):  # another process was first; its password is read below
                os.link(new.name, path)
    return path.read_text()
