"""`synthbench store`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from synthbench.cli.environments import UNITS, answered_yes
from synthbench.cli.tables import one_line, print_table
from synthbench.errors import SynthbenchError
from synthbench.storage import leases
from synthbench.storage.copying import copy
from synthbench.storage.inventory import Listed, ManagedStore, find_key, open_managed, unneeded
from synthbench.storage.local import name_of
from synthbench.storage.store import DamagedArtifact, is_remote

FAILED = 1
SHOWN = 20
PERIODS = (("d", 86400), ("h", 3600), ("min", 60))


def open_existing(arguments: argparse.Namespace, address: str | None = None) -> ManagedStore:
    """The store that was named. Raises SynthbenchError if there is none: a command that looks makes nothing."""
    address = arguments.store if address is None else address
    check_exists(address)
    return open_managed(address, trust=arguments.trust_store)


def check_exists(address: str) -> None:
    """Raises SynthbenchError if there is no store. Makes nothing."""
    if is_remote(address):
        from synthbench.storage.managed_remote import has_store

        exists = has_store(address)
    else:
        exists = Path(address).is_dir()
    if not exists:
        raise SynthbenchError(f"{address}: no store; name one with --store")


def list_command(arguments: argparse.Namespace) -> int:
    """`synthbench store list`."""
    listed = sorted(open_existing(arguments).listed(), key=lambda each: (each.kind, -each.published))
    if arguments.kind:
        listed = [each for each in listed if each.kind == arguments.kind]
    rows = [(each.kind, each.key[:12], megabytes(each.size), age(each.published), each.label or "damaged") for each in listed]
    if rows:
        print_table([("kind", "key", "MB", "age", "label"), *rows])
    print(f"{len(listed)} artifacts, {megabytes(sum(each.size for each in listed))} MB")
    return 0


def show_command(arguments: argparse.Namespace) -> int:
    """`synthbench store show`."""
    store = open_existing(arguments)
    found = find_key(store, arguments.key)
    if len(found) != 1:
        names = "; ".join(f"{kind}/{key[:20]}" for kind, key in found[:SHOWN])
        raise SynthbenchError(f"{arguments.key}: {f'the beginning of several keys: {names}' if found else 'no artifact has such a key'}")
    artifact = store.get(*found[0])
    if artifact is None:
        raise SynthbenchError(f"{arguments.key}: it was removed just now")
    print(one_line_each(msgspec.json.format(msgspec.json.encode(artifact.record), indent=1).decode()))
    return 0


def check_command(arguments: argparse.Namespace) -> int:
    """`synthbench store check`."""
    store = open_existing(arguments)
    if arguments.set_aside:
        refuse_beside_runs(store)
    damaged, everything = 0, list(store.contents())
    for kind, key in everything:
        try:
            store.check(kind, key)
        except DamagedArtifact as damage:
            damaged += 1
            print(damage, take_aside(store, kind, key) if arguments.set_aside else "", sep="")
    them = "it" if damaged == 1 else "them"
    when = "" if arguments.set_aside else " after --set-aside"
    cure = f"; a run that needs {them} makes {them} again, and push and pull copy whole ones{when}" if damaged else ""
    print(f"{len(everything)} artifacts checked, {damaged} damaged{cure}")
    with suppress(SynthbenchError):  # of a store that can only be read
        if leftovers := [each for each in store.leftovers() if not each.foreign]:
            print(f"{len(leftovers)} leftovers of damaged artifacts and killed runs can be removed with: synthbench store gc")
    return FAILED if damaged else 0


def take_aside(store: ManagedStore, kind: str, key: str) -> str:
    """Sets a damaged artifact aside and says where it is; or why not."""
    try:
        with store.hold(name_of(kind, key)) as held:
            if not held:
                return "; another process is making it"
            try:
                store.check(kind, key)
            except DamagedArtifact:
                aside = store.set_aside(kind, key)
            else:
                aside = ""
            return f"; it is {aside} now" if aside else "; another process was first"
    except SynthbenchError as error:
        return f"; it stays: {error}"


def gc_command(arguments: argparse.Namespace) -> int:
    """`synthbench store gc`."""
    store = open_existing(arguments)
    if names := store.doubtful():
        print(f"watching for {leases.WATCHED:.0f} s whether another machine still works on {', '.join(names[:3])}", flush=True)
        time.sleep(leases.WATCHED + 1)
    store.sweep()
    found, artifacts = store.leftovers(), list[Listed]()
    for kept in (each for each in found if each.foreign):
        print(f"{one_line(kept.place)} stays; remove it by hand: synthbench may not have written {one_line(kept.foreign)}")
    leftovers = [each for each in found if not each.foreign]
    if arguments.keep:
        from synthbench.cli.needed import needed

        refuse_beside_runs(store)
        artifacts, foreign = unneeded(store, needed(arguments.keep, store))
        for (kind, key), files in foreign.items():
            print(f"{kind} {key[:12]} stays: it has files that synthbench did not write, such as {one_line(files[0])}")
    if not leftovers and not artifacts:
        print("nothing to remove")
        return 0
    print_first([(megabytes(each.size), one_line(each.place)) for each in leftovers])
    print_first([(megabytes(each.size), f"{each.kind} {each.key[:12]}  {one_line(each.label)}") for each in artifacts])
    size = sum(each.size for each in leftovers) + sum(each.size for each in artifacts)
    print(f"{len(artifacts)} artifacts and {len(leftovers)} leftovers, {megabytes(size)} MB")
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise SynthbenchError("nothing was removed: give --yes, or answer at a terminal")
        print("remove these? [y/N] ", end="", flush=True)
        if not answered_yes():
            return 0
    if artifacts:
        refuse_beside_runs(store)  # one may have begun while the question waited
    removed = store.remove(leftovers)
    for each in artifacts:
        with store.hold(name_of(each.kind, each.key)) as held:
            if held:
                store.discard(each.kind, each.key)
                removed += 1
    left = len(leftovers) + len(artifacts) - removed
    print(f"removed {removed}" + (f"; {left} are in use or gone by now" if left else ""))
    return 0


def refuse_beside_runs(store: ManagedStore) -> None:
    """Raises SynthbenchError while a run goes on, which may need what it has made so far."""
    if names := store.building():
        raise SynthbenchError(f"{store.address}: nothing was changed, since there are at work: {', '.join(names[:3])}; wait for their end")


def push_command(arguments: argparse.Namespace) -> int:
    """`synthbench store push`."""
    source = open_existing(arguments)
    return transfer(source, open_managed(arguments.other, trust=arguments.trust_store), arguments.only)


def pull_command(arguments: argparse.Namespace) -> int:
    """`synthbench store pull`."""
    source = open_existing(arguments, arguments.other)
    return transfer(source, open_managed(arguments.store, trust=arguments.trust_store), arguments.only)


def transfer(source: ManagedStore, target: ManagedStore, only: Sequence[str]) -> int:
    """Copies artifacts: all, or those that suites and reports need. One that fails does not keep the others back."""
    if source.address == target.address:
        raise SynthbenchError(f"{source.address}: the same store twice")
    wanted = list(source.contents())
    if only:
        from synthbench.cli.needed import needed

        kept = needed(only, source)
        wanted = [each for each in wanted if each in kept]
    there, outcomes = set(target.contents()), {"copied": 0, "there": 0, "gone": 0, "busy": 0, "damaged": 0}
    for number, (kind, key) in enumerate(wanted, 1):
        outcome: str = "there"
        if (kind, key) not in there:
            try:
                outcome = copy(source, target, kind, key)
            except DamagedArtifact as damage:
                print(f"{damage}; not copied")
                outcome = "damaged"
        outcomes[outcome] += 1
        if outcome == "copied":
            print(f"{number}/{len(wanted)}  {kind} {key[:12]}", flush=True)
    missed = outcomes["damaged"] + outcomes["busy"] + outcomes["gone"]
    print(
        f"{outcomes['copied']} copied, {outcomes['there']} there already"
        + (f"; not copied: {outcomes['damaged']} damaged, {outcomes['busy']} being made, {outcomes['gone']} removed" if missed else "")
    )
    return FAILED if missed else 0


def megabytes(size: int) -> str:
    """A size in bytes as megabytes."""
    return f"{size / UNITS**2:.1f}"


def age(moment: float) -> str:
    """How long ago a moment is, given in seconds since 1970."""
    seconds = max(0.0, time.time() - moment)
    return next((f"{seconds / period:.0f} {unit}" for unit, period in PERIODS if seconds >= period), f"{seconds:.0f} s")


def one_line_each(text: str) -> str:
    """Text with every line printable: a record may come from elsewhere."""
    return "\n".join(one_line(line) for line in text.splitlines())


def print_first(rows: Sequence[tuple[str, str]]) -> None:
    """Prints sizes and names, the first of many."""
    for size, name in rows[:SHOWN]:
        print(f"{size:>10} MB  {name}")
    if len(rows) > SHOWN:
        print(f"{'':>10}     and {len(rows) - SHOWN} more")
