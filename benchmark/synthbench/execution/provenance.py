"""The versions and the commit that a result was computed with."""

from __future__ import annotations

import hashlib
import inspect
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@cache
def commit() -> str:
    """The commit of this checkout, with a plus where files differ from it; empty where it is no checkout."""
    here = Path(__file__).parents[1]  # not synthbench.__file__: importing the package would climb to the upper floors
    if not (here.parents[1] / ".git").exists():  # installed, perhaps below somebody else's checkout
        return ""
    asked = ["git", "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        described = subprocess.run(asked, cwd=here, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return described.stdout.strip() if described.returncode == 0 else ""


def requirement_name(line: str) -> str:
    """`torch` of `torch==2.1.2`."""
    return (re.match(r"[\w.-]+", line) or [""])[0]


def versions(requirements: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The installed packages that these lines ask for, extras left out, with their versions."""
    for name in sorted({requirement_name(line) for line in requirements if "extra ==" not in line}):
        with suppress(PackageNotFoundError):  # not needed on this kind of machine
            yield name, version(name)


def code_hash(plugin: type) -> str:
    """A hash of the Python files of a class's package, or of its module's file where that is in none."""
    return _hash_beside(Path(inspect.getfile(plugin)))


@cache
def _hash_beside(file: Path) -> str:
    files = sorted(file.parent.rglob("*.py")) if (file.parent / "__init__.py").exists() else [file]
    digest = hashlib.sha256()
    for each in files:
        digest.update(each.relative_to(file.parent).as_posix().encode() + each.read_bytes())
    return digest.hexdigest()[:16]
