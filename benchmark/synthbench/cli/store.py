"""`synthbench store`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from synthbench.cli.environments import UNITS, answered_yes, size_of
from synthbench.errors import SynthbenchError
from synthbench.storage.local import LocalStore
from synthbench.storage.store import DamagedArtifact

FAILED = 1


def open_existing(arguments: argparse.Namespace) -> LocalStore:
    """The store that was named. Raises SynthbenchError if there is none: a command that looks makes nothing."""
    root = Path(arguments.store)
    if not root.is_dir():
        raise SynthbenchError(f"{root}: no store; name one with --store")
    return LocalStore(root, trust=arguments.trust_store)


def check_command(arguments: argparse.Namespace) -> int:
    """`synthbench store check`."""
    store = open_existing(arguments)
    damaged = checked = 0
    for kind, key in store.contents():
        checked += 1
        try:
            store.verify(kind, key)
        except DamagedArtifact as damage:
            damaged += 1
            print(damage)
    aside = store.leftovers()
    print(
        f"{checked} artifacts checked, {damaged} damaged"
        + (f"; the next run makes {'it' if damaged == 1 else 'them'} again" if damaged else "")
    )
    if aside:
        print(f"{len(aside)} folders of damaged artifacts and killed runs can be removed with: synthbench store gc")
    return FAILED if damaged else 0


def gc_command(arguments: argparse.Namespace) -> int:
    """`synthbench store gc`."""
    store = open_existing(arguments)
    store.sweep()
    folders = store.leftovers()
    if not folders:
        print("nothing to remove")
        return 0
    for folder in folders:
        print(f"{size_of(folder) / UNITS**2:10.1f} MB  {folder}")
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise SynthbenchError("nothing was removed: give --yes, or answer at a terminal")
        print("remove these? [y/N] ", end="", flush=True)
        if not answered_yes():
            return 0
    store.remove(folders)
    print(f"removed {len(folders)}")
    return 0
