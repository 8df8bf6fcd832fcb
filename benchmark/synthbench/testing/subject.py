"""How to run plugins of a kind, and their results in a form that can be compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthbench.contract.types import Boxes, ImageSet
from synthbench.testing.checks import Failure, Skip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench.testing.bench import Bench, Views

Answer = Sequence[Mapping[str, "NDArray[Any]"]]
"""For each picture, arrays by name: `pixels`, `boxes`, `labels`, `scores`."""


SAME_SEED = "same seed"
"""The name of the check without which answers cannot be compared."""
NOTHING = "it finds no box at all, so there is nothing to compare; train longer or accept lower scores in `smoke_options`"


@dataclass(frozen=True)
class Learnt:
    """The artifact of a plugin's first stage."""

    folder: Path


class Subject(ABC):
    """Plugins of one kind.

    stage: the longest stage, the one in which faults are injected. usual: the toy pictures that checks use by default.
    """

    stage: str
    usual = "few"

    @abstractmethod
    def views(self, bench: Bench, data: str) -> Views:
        """The views of these toy pictures that the stage reads."""

    @abstractmethod
    def use(self, bench: Bench, folder: Path, data: str, seed: int, options: Mapping[str, object] | None = None) -> Answer:
        """The answer from the stage's artifact. options: options of the later stage, if there is one; None for the plugin's own."""

    def learn(
        self,
        bench: Bench,
        data: str = "",
        *,
        seed: int = 0,
        turn: int = 0,
        key: str = "",
        options: Mapping[str, object] | None = None,
    ) -> Learnt:
        """Runs the stage once for each set of pictures, seed, turn and options. Raises Failure if the stage fails."""

        def make() -> Learnt:
            views = self.views(bench, data or self.usual)
            done = bench.run(self.stage, views, seed=seed, key=key, options=options)
            return Learnt(done.folder)

        return bench.once((self.stage, data, seed, turn, repr(options)), make)

    def ask(
        self,
        bench: Bench,
        data: str = "",
        *,
        seed: int = 0,
        turn: int = 0,
        key: str = "",
        options: Mapping[str, object] | None = None,
    ) -> Answer:
        """Runs `learn` and `use` on the same pictures; cached like `learn`."""

        def make() -> Answer:
            learnt = self.learn(bench, data, seed=seed, turn=turn, key=key, options=options)
            return self.use(bench, learnt.folder, data or self.usual, seed)

        return bench.once(("answer", data, seed, turn, repr(options)), make)

    def same(self, bench: Bench, one: Answer, other: Answer, when: str, place: str) -> None:
        """Raises Failure if two answers differ or both are empty, Skip if the check of the same seed has failed."""
        if SAME_SEED in bench.failures:
            raise Skip.after(SAME_SEED)
        if not has_content(one) and not has_content(other):
            raise Failure(NOTHING, place)
        if gap := difference(one, other):
            raise Failure(f"{when}: {gap}", place)


def has_content(answer: Answer) -> bool:
    """Whether an answer has anything to compare."""
    return any(len(array) for each in answer for array in each.values())


def of_boxes(boxes: Iterable[Boxes]) -> Answer:
    """An answer of boxes."""
    return [{"boxes": each.xyxy, "labels": each.labels, "scores": each.scores} for each in boxes]


def of_images(images: ImageSet) -> Answer:
    """An answer of images, with their boxes if they have them."""
    return [{"pixels": each.pixels(), **(of_boxes([each.boxes])[0] if each.boxes is not None else {})} for each in images]


def difference(one: Answer, other: Answer) -> str:
    """The first difference between two answers; empty if they are equal."""
    import numpy as np

    if len(one) != len(other):
        return f"{len(one)} and {len(other)} pictures"
    for number, (here, there) in enumerate(zip(one, other, strict=True)):
        for name in sorted(here.keys() | there.keys()):
            if name not in here or name not in there or here[name].shape != there[name].shape:
                shapes = [str(each[name].shape) if name in each else "none" for each in (here, there)]
                return f"in picture {number}, {name} have shapes {' and '.join(shapes)}"
            if not np.array_equal(here[name], there[name], equal_nan=True):
                gap = np.abs(here[name].astype(np.float64) - there[name].astype(np.float64)).max()
                return f"in picture {number}, {name} differ by up to {gap:.3g}"
    return ""
