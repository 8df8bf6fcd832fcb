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


def weights_count(bench: Bench) -> None:
    """Names weights that are not there, and then those that the plugin left itself, if it takes them."""
    names = [name for name, kind in option_types(bench.found.cls).items() if is_weights(kind)]
    if not names:
        raise Skip("it has no option for starting weights")
    for name in names:
        refuses_missing(bench, name)
    starts_from_its_own(bench, names)


def refuses_missing(bench: Bench, name: str) -> None:
    """Raises Failure where no stage of the plugin fails for weights that are not there."""
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
        f"{name}: it goes on with weights that are not there, so it ignores the option; find them with `find_weights`",
        bench.method(subject.stage),
    )


def starts_from_its_own(bench: Bench, names: list[str]) -> None:
    """Raises Failure where a training from weights that it left is the one from other weights, or from scratch."""
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
                    raise Failure(f"{name}: a training that starts from other weights gives the very same", bench.method(subject.stage))
                break


def own_weights(folder: Path) -> Iterator[Path]:
    """What a training left that may be named as weights: its folder, or a file in it."""
    if (folder / MODEL).exists():
        yield folder
    yield from sorted(folder.glob("*.safetensors"))
