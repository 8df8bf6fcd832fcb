"""`synthbench verify --rerun`: runs the experiment of a bundle again, and says whether its figures come out again."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.cli.compare import conclusion, print_comparison
from synthbench.cli.run import run_with_progress
from synthbench.cli.tables import one_line

if TYPE_CHECKING:
    from synthbench.publishing.rerunning import Prepared, Rerun
    from synthbench.publishing.verifying import Verification

SHOWN = 3


def rerun(found: Verification, arguments: argparse.Namespace) -> Verification:
    """The verification with the level `re-run` if every figure of the bundle came out again, else with what did not."""
    from synthbench.publishing.rerunning import judge, prepare

    prepared = prepare(
        Path(arguments.bundle),
        data=Path(arguments.data) if arguments.data else None,
        store=arguments.store,
        trust_store=arguments.trust_store,
        replicates=arguments.replicates,
        first_seed=arguments.first_seed,
        changes=arguments.set,
        download=arguments.download,
    )
    announce(prepared)
    again = judge(prepared, run_with_progress(prepared.experiment, arguments))
    print("\nA: the bundle, B: this run")
    print_comparison(again.comparison, prepared.stated, again.again)
    if again.lands:
        print(f"re-run: with fresh seeds all {len(again.comparison.cells)} AP figures came out again")
        return replace(found, level="re-run")
    problems = problems_of(again)
    for problem in problems:
        print(f"does not hold: {one_line(problem)}")
    print(f"{found.level}, but not re-run")
    return replace(found, problems=problems)


def announce(prepared: Prepared) -> None:
    """What will be run, and what of it is not as it was."""
    plan = prepared.experiment.plan
    seeds = plan.suite.seeds
    drawn = ", ".join(f"{name} {', '.join(map(str, values))}" for name, values in vars(seeds).items())
    print(f"runs again: {len(plan.cells)} cells, {len(plan.stages)} stages, with fresh seeds ({drawn})")
    if other := prepared.other:
        print(
            f"{len(other)} of {prepared.stages} stages of the bundle would not be the same here, even with its own seeds: other data, "
            "starting weights or version of the core, or other options than it states. "
            f"The first: {one_line(', '.join(other[:SHOWN]))}"
        )
    else:
        print(f"with the bundle's own seeds all its {prepared.stages} stages would be the very same here")


def problems_of(again: Rerun) -> list[str]:
    """What keeps a bundle from the level `re-run`."""
    found = [f"{training_set} / {detector}: has no AP here" for training_set, detector in again.missing]
    for cell in again.comparison.cells:
        if cell.finding in ("beyond", "unknown"):
            what = "further off than seeds and test images explain" if cell.finding == "beyond" else "no interval to compare"
            found.append(f"{cell.training_set} / {cell.detector}: AP {cell.second.mean:.3f}, not {cell.first.mean:.3f}; {what}")
    return found or [conclusion(again.comparison)]
