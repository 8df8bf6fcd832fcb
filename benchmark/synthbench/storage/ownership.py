"""Whose store a folder is: a cloned folder may bring along a store that somebody forged.

A store's mark contains a random id and a seal of it: a hash that only this user can make, with a secret in a file that no store contains.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import uuid
from contextlib import suppress
from pathlib import Path


def new_mark() -> dict[str, str]:
    """The id and the seal of a new store. Without a place for the secret there is no seal."""
    identity = uuid.uuid4().hex
    return {"id": identity, "seal": seal_of(identity)}


def is_ours(mark: object) -> bool:
    """Whether this user made the store with this mark."""
    identity, seal = (mark.get("id"), mark.get("seal")) if isinstance(mark, dict) else (None, None)
    return (
        isinstance(identity, str)
        and isinstance(seal, str)
        and bool(seal)
        and hmac.compare_digest(seal.encode(), seal_of(identity).encode())
    )


def seal_of(identity: str) -> str:
    """The seal of a store's id; empty if the secret cannot be kept."""
    secret = user_secret()
    return hmac.new(secret, identity.encode(), hashlib.sha256).hexdigest() if secret else ""


def secret_file() -> Path:
    """Where this user's secret is kept."""
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "synthbench" / "secret"


def user_secret() -> bytes:
    """This user's secret, made when it is first needed; empty if it cannot be kept."""
    file = secret_file()
    with suppress(OSError, RuntimeError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".secret-{uuid.uuid4().hex}")
        if not file.exists():
            temporary.touch(mode=0o600)
            temporary.write_text(secrets.token_hex(32))
            with suppress(FileExistsError):
                os.link(temporary, file)  # fails if another process was first
            temporary.unlink()
        return file.read_bytes().strip()
    return b""
