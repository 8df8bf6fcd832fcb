"""From a suite's settings to its training sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from synthbench.errors import suggest
from synthbench.suite.model import Mix, Settings
from synthbench.suite.training_sets import BASELINES, TrainingSet, generated, labelled, part, subset
from synthbench.text import printable


class Rows:
    """The training sets of a suite, under their names; `wrong(key, problem)` is told what does not fit.

    names: those of all generators and annotators of the suite, the wrong ones too, so that no error causes another.
    """

    def __init__(
        self, settings: Settings, names: Mapping[str, Sequence[str]], mixes: Sequence[Mix], wrong: Callable[[str, str], None]
    ) -> None:
        self.settings = settings
        self.mixes = mixes
        self.wrong = wrong
        generators, annotators = names["generators"], names["annotators"]
        if generators and not annotators:
            wrong("annotators", "missing: generated images need boxes, so name at least one [[annotators]]")
        pairs = [generated(generator, annotator, settings.images) for generator in generators for annotator in annotators]
        self.baselines = {each.name: each for each in (*BASELINES, *map(labelled, annotators))}
        self.usual = {each.name: each for each in (*self.baselines.values(), *map(subset, settings.real_counts), *pairs)}
        self.sets: dict[str, TrainingSet] = {}

    def read(self) -> tuple[TrainingSet, ...]:
        """The rows that detectors are trained on. Mixes and parts are resolved."""
        self.check()
        for name, each in self.usual.items():
            self.add(replace(each, name=self.shown(name)), f"names.{name}")
        for mix in self.mixes:
            self.add_mix(mix)
        for name, counts in self.settings.generated_counts.items():
            self.add_parts(name, counts)
        left_out = self.left_out()
        return tuple(each for each in self.sets.values() if each.name not in left_out)

    def left_out(self) -> set[str]:
        """What no detector is trained on."""
        unshown = {*self.baselines} - {*self.settings.baselines}
        return {self.shown(name) for name in (*self.settings.leave_out, *unshown)}

    def check(self) -> None:
        """Whether the settings name training sets that there are."""
        for name in self.settings.baselines:
            if name not in self.baselines:
                self.wrong("baselines", f"unknown row '{name}'{suggest(name, self.baselines)}")
        counts = self.settings.real_counts
        for number in sorted({each for each in counts if counts.count(each) > 1}):
            self.wrong("real_counts", f"{number} is there twice")
        for name in self.settings.leave_out:
            if name not in self.usual:
                self.wrong("leave_out", f"no training set '{name}'{suggest(name, self.usual)}")
        for name in self.settings.names:
            if name not in (*self.usual, *(mix.name for mix in self.mixes)):
                self.wrong("names", f"no training set '{name}'{suggest(name, self.usual)}")
        for name, shown in self.settings.names.items():
            if shown != name and shown in self.usual:
                self.wrong(f"names.{name}", f"'{shown}' is what another training set is called")

    def shown(self, name: str) -> str:
        """The name of a training set in reports."""
        return self.settings.names.get(name, name)

    def known(self, name: str) -> TrainingSet | None:
        """A training set by its own name or by the one that the suite gives it."""
        return self.sets.get(name) or (self.sets.get(self.shown(name)) if name in self.settings.names else None)

    def add_mix(self, mix: Mix) -> None:
        """Adds a mix of training sets that are there."""
        for each in mix.parts:
            if self.known(each) is None:
                self.wrong(f"mix.{mix.name}.parts", f"no training set '{each}'{suggest(each, {*self.usual, *self.sets})}")
        parts = tuple(found for each in mix.parts if (found := self.known(each)))
        self.add(TrainingSet(kind="mix", name=self.shown(mix.name), parts=parts), f"mix.{mix.name}.name")

    def add_parts(self, name: str, counts: Sequence[int]) -> None:
        """Adds a generated set or a mix with fewer generated images."""
        key, whole = f"generated_counts.{name}", self.known(name)
        able = [each.name for each in self.sets.values() if each.generated_images]
        if whole is None or whole.name not in able:
            self.wrong(key, f"no training set '{name}' with generated images{suggest(name, able)}")
            return
        if whole.name in self.left_out():
            self.wrong(key, "no detector is trained on all of its images, so fewer of them tell nothing; take it out of leave_out")
            return
        for number in counts:
            if counts.count(number) > 1 or number >= self.settings.images:
                problem = "is there twice" if counts.count(number) > 1 else f"is not fewer than images = {self.settings.images}"
                self.wrong(key, f"{number} {problem}")
                return
            self.add(part(whole, number), key)

    def add(self, training_set: TrainingSet, key: str) -> None:
        """Adds a training set, unless another one has its name."""
        if not re.fullmatch(r"[^\x00-\x1f`|<>\[\]]{1,100}", training_set.name) or printable(training_set.name) != training_set.name:
            self.wrong(key, f"expected up to 100 characters without line breaks or any of `|<>[], got {training_set.name[:120]!r}")
        if self.sets.setdefault(training_set.name, training_set) is not training_set:
            self.wrong(key, "the name of another training set")
