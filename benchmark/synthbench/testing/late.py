"""Checks of the options that are marked as those of a plugin's later stage."""

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

MOST = 6  # values of an option that are tried


def late_names(bench: Bench) -> list[str]:
    """The options of the later stage. Raises Skip where there are none."""
    names = sorted(bench.options.keys() - option_values(bench.plugin, ()).keys())
    if not names:
        raise Skip("it has no options of its later stage")
    return names


def late_options(bench: Bench) -> None:
    """Learns with other values of the options that are marked as the later stage's, unless learning has read none of them."""
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
    when = f"other values of the later stage's options ({', '.join(changed)}) make it learn something else"
    # Learns with the other values, and answers with its own.
    learnt = subject.learn(bench, options=options)
    subject.same(bench, subject.ask(bench), subject.use(bench, learnt.folder, subject.usual, 0), when, bench.method(subject.stage))


def options_count(bench: Bench) -> None:
    """Looks for an option of the later stage that the plugin's code does not read, and of which no value changes anything.

    What cannot be told: whether an option that is read and changes nothing steers the cost alone, as a batch size does.
    """
    if SAME_SEED in bench.failures:
        raise Skip.after(SAME_SEED)
    before = answer(bench, dict(bench.options))
    stages = [note for note in notes(bench, "options") if note["stage"] in LATER]
    read = {name for note in stages for name in note["target"].split()}
    for name in late_names(bench):
        if name not in read and not any(changes(bench, name, before)):
            raise Failure(
                f"{name}: the later stage does not read it, and no other value changes what comes out. Where it counts beside "
                "another option alone, let `smoke_options` set that one",
                bench.method(stages[0]["stage"]) if stages else bench.method(),
            )


def changes(bench: Bench, name: str, before: list[Answer]) -> Iterator[bool]:
    """Whether each of some values of an option changes what comes out, or is refused."""
    values = other_values(bench.found.cls, name, getattr(bench.plugin, name), bench.options)
    for value in islice(values, MOST):
        try:
            after = answer(bench, {**bench.options, name: value})
        except Failure:
            yield True
        else:
            yield any(difference(one, other) for one, other in zip(before, after, strict=True))


def answer(bench: Bench, options: dict[str, object]) -> list[Answer]:
    """What the later stages give with these options."""
    subject = subject_of(bench)
    folder = subject.learn(bench).folder
    answers = [subject.use(bench, folder, subject.usual, 0, options=options)]
    if subject is GENERATORS and hasattr(bench.found.cls, "locate"):
        answers.append(locate(bench, "few", options=options))
    return answers
