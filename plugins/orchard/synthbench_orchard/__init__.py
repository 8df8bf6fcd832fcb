"""Rendered orchard scenes as a data source, for trying a suite where there are no photographs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Boxes, Run, Sample, Splits, derive_seed, hookimpl, option

if TYPE_CHECKING:
    from synthbench import DataSource

Kind = Literal["red apples", "green apples", "yellow apples", "oranges", "plums", "peaches"]


@dataclass(frozen=True, kw_only=True)
class Orchard:
    """Trees with fruit, drawn by a program, with exact boxes.

    Scene i of a split depends on (seed, domain, split, i) alone.
    """

    name: ClassVar[str] = "orchard"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    smoke_options: ClassVar[Mapping[str, object]] = {"train": 6, "test": 4, "size": 64}

    domain: Literal["orchard", "broad"] = "orchard"
    """`orchard` is one particular orchard and camera; `broad` is what the shipped checkpoints learned from."""
    train: Annotated[int, Meta(ge=1)] = 160
    """Training scenes."""
    test: Annotated[int, Meta(ge=1)] = 80
    """Test scenes."""
    size: Annotated[int, Meta(ge=32, le=2048)] = 96
    """Side of the square images in pixels."""
    seed: int = 0
    """Another seed draws other scenes."""
    fruit: tuple[Kind, ...] = option((), added=True)
    """The kinds of fruit, each a category of its own; a scene has some of them or all. Default: what the domain has, as one category."""

    def __post_init__(self) -> None:
        if len({*self.fruit}) < len(self.fruit):
            raise ValueError(f"fruit: a kind is there twice: {', '.join(self.fruit)}")

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of the categories."""
        return self.fruit or (("apple",) if self.domain == "orchard" else ("fruit",))

    def load(self, run: Run) -> Splits:
        """The two splits, drawn as they are read."""
        return Splits(
            categories=self.categories,
            train=self._scenes("train", self.train, run),
            test=self._scenes("test", self.test, run),
            rendered=True,
            license="CC0-1.0",
            source=f"scenes of the domain '{self.domain}', drawn by synthbench-orchard from seed {self.seed}",
        )

    def _scenes(self, split: str, count: int, run: Run) -> Iterator[Sample]:
        import numpy as np

        from synthbench_orchard.draw import paint
        from synthbench_orchard.scene import DOMAINS, compose

        for number in run.track(range(count), f"draw {split}", unit="images"):
            rng = np.random.default_rng(derive_seed(self.seed, self.domain, split, number))
            scene = compose(DOMAINS[self.domain], rng, self.fruit)
            painted = paint(scene, self.size, rng)
            labels = [self.fruit.index(kind) for kind in painted.kinds] if self.fruit else None
            yield Sample(painted.image, Boxes.of(painted.boxes, labels), {"caption": scene.caption})


@hookimpl
def synthbench_data_sources() -> Sequence[type[DataSource]]:
    """The data source of this distribution."""
    return (Orchard,)
