"""Checks of the options that are marked as options of a plugin's later stage."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from synthbench.contract.options import option_values
from synthbench.testing.bench import Bench
from synthbench.testing.checks import Failure, Skip
from synthbench.testing.conduct import LATER, notes
from synthbench.testing.generators import GENERATORS, locate
from synthbench.testing.options import other_values
from synthbench.testing.subject import SAME_SEED, Answer, difference
from synthbench.testing.subjects import subject_of

MOST = 6  # number of values of an option to try


def late_names(bench: Bench) -> list[str]:
    """The options of the later stage. Raises Skip if there are none."""
    names = sorted(bench.options.keys() - option_values(bench.plugin, ()).keys())
    if not names:
        raise Skip("it has no options of its later stage")
    return names


def late_options(bench: Bench) -> None:
    """Trains with other values of the later stage's options, unless training reads none of these options."""
    plugin, subject, names = bench.plugin, subject_of(bench), late_names(bench)
    learning = [note for note in notes(bench, "options") if note["stage"] == subject.stage]
    read = {name for note in learning for name in note["target"].split()}
    if not read & {*names} and not any(note["copied"] for note in learning):
        return
    options, changed = dict(bench.options), []
    for name in names:
        value = next(other_values(bench.found.cls, name, getattr(plugin, name), options), None)
        if value is not None:
            options[name] = value
            changed.append(name)
    when = f"other values of the later stage's options ({', '.join(changed)}) change what it learns"
    # Train with the other values, then run the later stage with the original ones.
    learnt = subject.learn(bench, options=options)
    subject.same(bench, subject.ask(bench), subject.use(bench, learnt.folder, subject.usual, 0), when, bench.method(subject.stage))


def options_are_used(bench: Bench) -> None:
    """Fails if the plugin's code does not read an option of the later stage and no other value changes the result.

    Not checked: options that are read but change nothing, since they may affect only the cost, as a batch size does.
    """
    if SAME_SEED in bench.failures:
        raise Skip.after(SAME_SEED)
    before = answer(bench, dict(bench.options))
    stages = [note for note in notes(bench, "options") if note["stage"] in LATER]
    read = {name for note in stages for name in note["target"].split()}
    for name in late_names(bench):
        if name not in read and not any(changes(bench, name, before)):
            raise Failure(
                f"{name}: the later stage does not read it, and no other value changes its result. If it has an effect only together "
                "with another option, set that option in `smoke_options`",
                bench.method(stages[0]["stage"]) if stages else bench.method(),
            )


def changes(bench: Bench, name: str, before: list[Answer]) -> Iterator[bool]:
    """For some values of an option, whether the value changes the result or raises an error."""
    values = other_values(bench.found.cls, name, getattr(bench.plugin, name), bench.options)
    for value in islice(values, MOST):
        try:
            after = answer(bench, {**bench.options, name: value})
        except Failure:
            yield True
        else:
            yield any(difference(one, other) for one, other in zip(before, after, strict=True))


def answer(bench: Bench, options: dict[str, object]) -> list[Answer]:
    """The results of the later stages with these options."""
    subject = subject_of(bench)
    folder = subject.learn(bench).folder
    answers = [subject.use(bench, folder, subject.usual, 0, options=options)]
    if subject is GENERATORS and hasattr(bench.found.cls, "locate"):
        answers.append(locate(bench, "few", options=options))
    return answers
