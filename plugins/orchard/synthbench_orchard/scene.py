"""What a scene holds: every random decision, before a single pixel is drawn.

Lengths are fractions of the image's side, angles radians, colours RGB in 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.random import Generator

Range = tuple[float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Fruit:
    """A kind of fruit: its colours, and how big it is beside a medium apple."""

    shaded: Colour
    lit: Colour
    scale: float = 1.0


FRUITS: Mapping[str, Fruit] = MappingProxyType(
    {
        "red apples": Fruit((0.52, 0.05, 0.07), (0.90, 0.22, 0.16)),
        "green apples": Fruit((0.38, 0.52, 0.10), (0.72, 0.84, 0.30)),
        "yellow apples": Fruit((0.72, 0.56, 0.08), (0.97, 0.86, 0.32)),
        "oranges": Fruit((0.76, 0.34, 0.02), (0.99, 0.60, 0.10)),
        "plums": Fruit((0.20, 0.08, 0.28), (0.46, 0.26, 0.56), 0.8),
        "peaches": Fruit((0.84, 0.44, 0.26), (0.99, 0.74, 0.50), 1.05),
    }
)
CROWNS = ("round", "tall", "wide")
LIGHTS = ("sunny", "cloudy", "evening")


@dataclass(frozen=True)
class Domain:
    """A family of scenes. Pairs are the ends of uniform ranges; `fruit` weighs the kinds."""

    fruit: Mapping[str, float]
    crowns: tuple[str, ...]
    lights: tuple[str, ...]
    count: tuple[int, int]
    radius: Range
    leaf_hue: Range
    leaf_length: Range
    leaves: tuple[int, int]
    light_angle: Range
    horizon: Range
    shade: Range
    blur: Range
    noise: Range
    quality: tuple[int, int]
    distractors: tuple[int, int]
    posts: float


# Everything a base model should have seen: six fruits, three crowns, three lights, all cameras.
BROAD = Domain(
    fruit={"red apples": 5, "green apples": 1, "yellow apples": 1, "oranges": 1.5, "plums": 1, "peaches": 1},
    crowns=CROWNS,
    lights=LIGHTS,
    count=(3, 13),
    radius=(0.048, 0.095),
    leaf_hue=(0.20, 0.40),
    leaf_length=(0.055, 0.10),
    leaves=(240, 420),
    light_angle=(-2.8, -0.35),
    horizon=(0.55, 0.82),
    shade=(0.0, 0.55),
    blur=(0.25, 0.6),
    noise=(0.004, 0.02),
    quality=(80, 96),
    distractors=(0, 3),
    posts=0.2,
)
# One orchard on one afternoon: wide trellised trees of one variety, low sun from the right, white posts,
# a camera with a soft lens and hard compression.
ORCHARD = Domain(
    fruit={"red apples": 1},
    crowns=("wide",),
    lights=("evening",),
    count=(4, 13),
    radius=(0.050, 0.080),
    leaf_hue=(0.23, 0.29),
    leaf_length=(0.060, 0.085),
    leaves=(320, 440),
    light_angle=(-0.9, -0.4),
    horizon=(0.62, 0.70),
    shade=(0.25, 0.6),
    blur=(0.4, 0.7),
    noise=(0.010, 0.025),
    quality=(70, 85),
    distractors=(1, 4),
    posts=0.9,
)
DOMAINS: Mapping[str, Domain] = MappingProxyType({"broad": BROAD, "orchard": ORCHARD})


@dataclass(frozen=True)
class Scene:
    """One scene's decisions; what is left to chance in drawing it comes from the same generator."""

    domain: Domain
    fruit: str
    crown: str
    light: str
    count: int
    centre: tuple[float, float]
    extent: tuple[float, float]
    horizon: float
    light_angle: float
    leaf_hue: float
    leaves: int
    shade: float
    distractors: int
    post: bool
    kinds: tuple[str, ...] = ()
    """Several kinds of fruit on one tree, in place of `fruit`."""

    @property
    def caption(self) -> str:
        """What a caption writer would put under the picture."""
        amount = "few" if self.count < 6 else "many"
        return f"a photo of {amount} {' and '.join(self.kinds or [self.fruit])} on a {self.crown} tree, {self.light} light"


def compose(domain: Domain, rng: Generator, among: Sequence[str] = ()) -> Scene:
    """Draws the decisions of one scene of `domain`. among: kinds of fruit of which the scene has some or all, if it has several."""
    chosen = rng.permutation(len(among))[: rng.integers(1, len(among) + 1)].tolist() if among else []
    kinds = list(domain.fruit)
    weights = [domain.fruit[kind] for kind in kinds]
    fruit = kinds[rng.choice(len(kinds), p=[weight / sum(weights) for weight in weights])]
    crown = str(rng.choice(domain.crowns))
    wide, high = {"round": (0.36, 0.33), "tall": (0.28, 0.40), "wide": (0.44, 0.31)}[crown]
    return Scene(
        domain=domain,
        fruit=fruit,
        crown=crown,
        light=str(rng.choice(domain.lights)),
        count=int(rng.integers(domain.count[0], domain.count[1] + 1)),
        centre=(rng.uniform(0.44, 0.56), rng.uniform(0.40, 0.46)),
        extent=(wide * rng.uniform(0.92, 1.08), high * rng.uniform(0.92, 1.08)),
        horizon=rng.uniform(*domain.horizon),
        light_angle=rng.uniform(*domain.light_angle),
        leaf_hue=rng.uniform(*domain.leaf_hue),
        leaves=int(rng.integers(domain.leaves[0], domain.leaves[1] + 1)),
        shade=rng.uniform(*domain.shade),
        distractors=int(rng.integers(domain.distractors[0], domain.distractors[1] + 1)),
        post=bool(rng.uniform() < domain.posts),
        kinds=tuple(among[number] for number in sorted(chosen)),
    )
