"""The secret that identities are made with: 32 random bytes in the home folder, made at the first use.

An identity is a digest of inputs before redaction. Keyed, it lets a replay match what was redacted, and gives nothing
away to one who has the store without the key.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_FILE = "key"
#: What a step without a recorded input is matched by: MessagePack's nil.
NO_INPUT = b"\xc0"


def store_key(home: Path) -> bytes:
    """Read the key, making it first where there is none. Two processes at once end up with the same one."""
    path = home / _FILE
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    # What is recorded is private by default: only this user may look into a directory that we make.
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Not from tempfile, whose import would cost more than all else here.
    mine = home / f"{_FILE}.{os.urandom(8).hex()}"
    fd = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(os.urandom(32))
        # A link appears whole or not at all, and fails where another was first.
        with contextlib.suppress(FileExistsError):
            os.link(mine, path)
    finally:
        mine.unlink()
    return path.read_bytes()
