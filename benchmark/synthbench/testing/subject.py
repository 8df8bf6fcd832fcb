"""How plugins of a kind are put to work, and what they give for it in a form in which two answers can be compared."""

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
"""Of each picture: what was given, by what it is called."""


SAME_SEED = "same seed"
"""The check without which two answers cannot be compared."""
NOTHING = "it finds no box at all, so there is nothing to compare; `smoke_options` may have to let it learn longer, or take less sure boxes"


@dataclass(frozen=True)
class Learnt:
    """What a plugin left when it had learnt."""

    folder: Path


class Subject(ABC):
    """Plugins of one kind.

    stage: the one that takes longest and is struck; usual: the toy pictures that it sees unless a check says which.
    """

    stage: str
    usual = "few"

    @abstractmethod
    def views(self, bench: Bench, data: str) -> Views:
        """What the stage sees of these toy pictures."""

    @abstractmethod
    def use(self, bench: Bench, folder: Path, data: str, seed: int, options: Mapping[str, object] | None = None) -> Answer:
        """The answer, from what the stage left. options: of the later stage, where there is one; None: the plugin's own."""

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
        """Carries out the stage, once for each set of pictures, seed, turn and options; raises Failure where it fails."""

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
        """Has it learn and asks for the answer about the same pictures, once as `learn` does."""

        def make() -> Answer:
            learnt = self.learn(bench, data, seed=seed, turn=turn, key=key, options=options)
            return self.use(bench, learnt.folder, data or self.usual, seed)

        return bench.once(("answer", data, seed, turn, repr(options)), make)

    def same(self, bench: Bench, one: Answer, other: Answer, when: str, place: str) -> None:
        """Raises Failure where two answers differ, or both say nothing; Skip where the same seed is known to give different ones."""
        if SAME_SEED in bench.failures:
            raise Skip.after(SAME_SEED)
        if not says_something(one) and not says_something(other):
            raise Failure(NOTHING, place)
        if gap := difference(one, other):
            raise Failure(f"{when}: {gap}", place)


def says_something(answer: Answer) -> bool:
    """Whether there is anything in it to compare."""
    return any(len(array) for each in answer for array in each.values())


def of_boxes(boxes: Iterable[Boxes]) -> Answer:
    """The answer that consists of boxes."""
    return [{"boxes": each.xyxy, "labels": each.labels, "scores": each.scores} for each in boxes]


def of_images(images: ImageSet) -> Answer:
    """The answer that consists of images, and of their boxes where they have some."""
    return [{"pixels": each.pixels(), **(of_boxes([each.boxes])[0] if each.boxes is not None else {})} for each in images]


def difference(one: Answer, other: Answer) -> str:
    """What differs first, or nothing."""
    import numpy as np

    if len(one) != len(other):
        return f"{len(one)} pictures and {len(other)}"
    for number, (here, there) in enumerate(zip(one, other, strict=True)):
        for name in sorted(here.keys() | there.keys()):
            if name not in here or name not in there or here[name].shape != there[name].shape:
                shapes = [str(each[name].shape) if name in each else "none" for each in (here, there)]
                return f"in picture {number} {name} of shape {' and '.join(shapes)}"
            if not np.array_equal(here[name], there[name], equal_nan=True):
                gap = np.abs(here[name].astype(np.float64) - there[name].astype(np.float64)).max()
                return f"in picture {number} {name} that differ by up to {gap:.3g}"
    return ""
