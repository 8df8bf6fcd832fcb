"""`synthbench check`: whether a plugin keeps the contract."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from synthbench.errors import SynthbenchError, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synthbench.registry import PluginInfo, Registry
    from synthbench.testing import Result

KEPT, BROKEN = 0, 1


def command(arguments: argparse.Namespace) -> int:
    """Runs the checks, telling each on standard error as it ends; then prints a table and what failed, or JSON."""
    from synthbench.cli.environments import confirm, say
    from synthbench.execution.environments import environment_spec_of
    from synthbench.execution.interpreters import confirmation, interpreters
    from synthbench.registry import installed
    from synthbench.testing import checks_of, configured, run_checks

    found = chosen(arguments.name, installed())
    options = read_options(arguments.set)
    checks = checks_of(found.kind)
    spec = environment_spec_of(configured(found, options), found.distribution)
    if spec is not None:
        interpreters([spec], confirmation(arguments.make_environments or confirm), say)
    results = []
    print(f"{found.kind} {found.name} of {found.distribution} {found.release}: {len(checks)} checks", file=sys.stderr)
    for number, result in enumerate(run_checks(found.kind, found.name, options), start=1):
        results.append(result)
        if result.needs:
            continue  # the check that failed before has been shown
        print(f"{number:3}/{len(checks)} {result.status:8} {result.check} ({result.seconds:g} s)", file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps({"kind": found.kind, "name": found.name, "checks": [result.about for result in results]}, indent=1))
    else:
        print_results(results)
    return BROKEN if any(result.status == "failed" for result in results) else KEPT


def chosen(wanted: str, registry: Registry) -> PluginInfo:
    """The plugin of that name. Raises SynthbenchError with the nearest, or the broken ones, or the kinds to choose from."""
    kind, colon, name = wanted.rpartition(":")
    fitting = [found for (its_kind, its_name), found in registry.found.items() if its_name == name and its_kind in (kind or its_kind,)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise SynthbenchError(f"'{name}' is a plugin of several kinds: give {' or '.join(f'{found.kind}:{name}' for found in fitting)}")
    names = [f"{its_kind}:{its_name}" if colon else its_name for its_kind, its_name in registry.found]
    raise SynthbenchError("\n".join([f"no plugin named '{wanted}' is installed{suggest(wanted, names)}", *registry.suspects(name)]))


def read_options(changes: Sequence[str]) -> dict[str, object]:
    """Options as `--set` gives them."""
    from synthbench.suite.changes import apply_change

    options: dict[str, object] = {}
    for change in changes:
        apply_change(options, change)
    return options


def print_results(results: Sequence[Result]) -> None:
    """A table of all checks, then the reason and the place of what failed or was left out.

    Checks that were skipped because another had failed share one line below that one.
    """
    from tabulate import tabulate

    rows = []
    for each in results:
        if not each.needs:
            rows.append((each.check, each.status, f"{each.seconds:.1f}", each.promise))
        if needing := sum(other.needs == each.check for other in results):
            rows.append(("", "skipped", "", f"{needing} {'checks need' if needing > 1 else 'check needs'} this"))
    print(tabulate(rows, ("check", "", "seconds", "promise"), disable_numparse=True))
    for each in results:
        if each.status != "passed" and not each.needs:
            print(f"\n{each.check} {each.status}: {each.reason}")
            print("\n".join(f"  {line}" for line in [*([f"at {each.place}"] if each.place else []), *each.trace.splitlines()]))
    counts = {status: sum(each.status == status for each in results) for status in ("passed", "failed", "skipped")}
    print("\n" + ", ".join(f"{number} {status}" for status, number in counts.items() if number))
