"""Checks of options that name starting weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from synthbench.contract.options import is_weights, option_types
from synthbench.contract.weights import MODEL
from synthbench.testing.bench import Bench
from synthbench.testing.checks import Failure, Skip
from synthbench.testing.subject import SAME_SEED, difference
from synthbench.testing.subjects import subject_of

NOWHERE = "no such weights.safetensors"


def weights_are_used(bench: Bench) -> None:
    """Tries missing weights, and then weights that the plugin wrote itself, if it accepts them."""
    names = [name for name, kind in option_types(bench.found.cls).items() if is_weights(kind)]
    if not names:
        raise Skip("it has no option for starting weights")
    for name in names:
        refuses_missing(bench, name)
    starts_from_its_own(bench, names)


def refuses_missing(bench: Bench, name: str) -> None:
    """Raises Failure if no stage of the plugin fails for missing weights."""
    subject = subject_of(bench)
    options = {**bench.options, name: str(bench.folder / "files" / NOWHERE)}
    done = bench.attempt(subject.stage, subject.views(bench, subject.usual), options=options)
    if done.outcome.error:
        return
    try:
        subject.use(bench, done.folder, subject.usual, 0, options=options)
    except Failure:
        return
    raise Failure(
        f"{name}: missing weights raise no error, so the option is ignored; get the path from `find_weights`",
        bench.method(subject.stage),
    )


def starts_from_its_own(bench: Bench, names: list[str]) -> None:
    """Raises Failure if training from weights that the plugin wrote gives the same result as training without them."""
    if SAME_SEED in bench.failures:
        raise Skip.after(SAME_SEED)
    subject = subject_of(bench)
    before, folder = subject.ask(bench), subject.learn(bench).folder
    for name in names:
        for weights in own_weights(folder):
            options = {**bench.options, name: str(weights)}
            done = bench.attempt(subject.stage, subject.views(bench, subject.usual), options=options)
            if not done.outcome.error:
                after = subject.use(bench, done.folder, subject.usual, 0)
                if not difference(before, after):
                    raise Failure(f"{name}: training from other weights gives exactly the same result", bench.method(subject.stage))
                break


def own_weights(folder: Path) -> Iterator[Path]:
    """Paths in a training's artifact that may be valid weights: the folder, or files in it."""
    if (folder / MODEL).exists():
        yield folder
    yield from sorted(folder.glob("*.safetensors"))
