"""`synthbench plugins`: lists the installed plugins."""

from __future__ import annotations

import argparse
import json

from synthbench.cli.tables import print_table
from synthbench.text import printable


def command(arguments: argparse.Namespace) -> int:
    """Prints the plugins, the shipped checkpoints and the broken entry points, as a table or as JSON."""
    from synthbench.contract.stages import PLUGIN_KINDS
    from synthbench.registry import installed

    registry = installed()
    ordered = sorted(registry.found.values(), key=lambda each: (PLUGIN_KINDS.index(each.kind), each.name))
    columns = ("kind", "name", "version", "license", "distribution")
    cells = [(each.kind, each.name, each.cls.version, each.cls.license, f"{each.distribution} {each.release}") for each in ordered]
    if arguments.json:
        facts = ("entry_point", "distribution", "name", "error")
        broken = [{**{fact: getattr(each, fact) for fact in facts}, "place": each.location} for each in registry.broken]
        plugins = [dict(zip(columns, row, strict=True)) for row in cells]
        print(json.dumps({"plugins": plugins, "checkpoints": sorted(registry.checkpoints), "broken": broken}, indent=1))
        return 0
    print_table([columns, *cells])
    if registry.checkpoints:
        print(f"\nshipped checkpoints: {', '.join(sorted(registry.checkpoints))}")
    for each in registry.broken:
        print(f"\nbroken: {each.entry_point} ({each.distribution}): {printable(each.message())}")
    return 0
