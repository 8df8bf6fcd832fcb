"""From a scene to pixels and exact boxes.

Everything is painted from back to front on a canvas `OVERSAMPLE` times the size asked for. Beside the colours a
second canvas holds, for each pixel, which fruit is seen there; the boxes are read off it at the end, so a box
holds what is visible and nothing else.
"""

from __future__ import annotations

import colorsys
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from synthbench_orchard.scene import FRUITS, Scene

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

OVERSAMPLE = 3
# Less of a fruit than this in sight and nobody would label it.
MIN_VISIBLE = 0.35
LIGHT_TINT = {"sunny": (1.06, 1.03, 0.96), "cloudy": (0.90, 0.94, 0.98), "evening": (1.10, 0.96, 0.78)}
SKY = {
    "sunny": ((0.30, 0.52, 0.86), (0.74, 0.86, 0.97)),
    "cloudy": ((0.62, 0.68, 0.74), (0.84, 0.87, 0.90)),
    "evening": ((0.46, 0.56, 0.78), (0.97, 0.82, 0.62)),
}


@dataclass(frozen=True)
class Painted:
    """An image, uint8 (H, W, 3), the boxes of its fruit, float32 (N, 4), xyxy pixels, x2 and y2 exclusive, and each one's kind."""

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    kinds: list[str]


class Canvas:
    """Colours and, pixel by pixel, the number of the fruit that is seen (0: none)."""

    def __init__(self, pixels: NDArray[np.float64]) -> None:
        self.colours = Image.fromarray(to_bytes(pixels))
        self.fruit = Image.new("I", self.colours.size, 0)
        self.side = self.colours.width
        self.draw = ImageDraw.Draw(self.colours)
        self.draw_fruit = ImageDraw.Draw(self.fruit)

    def polygon(self, points: NDArray[np.float64], colour: NDArray[np.float64] | tuple[float, ...]) -> None:
        """Paints a polygon, points (N, 2) in fractions of the side, over whatever fruit is there."""
        outline = (points * self.side).ravel().tolist()
        self.draw.polygon(outline, fill=tuple(int(255 * min(max(part, 0.0), 1.0)) for part in colour))
        self.draw_fruit.polygon(outline, fill=0)


def paint(scene: Scene, size: int, rng: Generator) -> Painted:
    """Paints `scene` as a square of `size` pixels."""
    canvas = Canvas(background(scene, size * OVERSAMPLE, rng))
    light = np.array([math.cos(scene.light_angle), math.sin(scene.light_angle)])
    if scene.post:
        paint_trellis(canvas, rng)
    paint_wood(canvas, scene, light, rng)
    places = fruit_places(scene, rng)
    kinds = kinds_of(scene, len(places), rng)
    hidden = round(len(places) * 0.25)
    paint_leaves(canvas, scene, light, scene.leaves // 2, depth=0.0, rng=rng)
    for number in range(hidden):
        paint_fruit(canvas, kinds[number], light, places[number], number + 1, rng)
    paint_leaves(canvas, scene, light, scene.leaves // 3, depth=0.5, rng=rng)
    paint_distractors(canvas, scene, rng)
    for number in range(hidden, len(places)):
        paint_fruit(canvas, kinds[number], light, places[number], number + 1, rng)
    paint_leaves(canvas, scene, light, scene.leaves // 9, depth=1.0, rng=rng)
    radii = [place[2] * canvas.side for place in places]
    boxes, numbers = visible_boxes(np.asarray(canvas.fruit), radii, size)
    return Painted(develop(canvas.colours, scene, size, rng), boxes, [kinds[number - 1] for number in numbers])


def background(scene: Scene, side: int, rng: Generator) -> NDArray[np.float64]:
    """Sky, far trees and ground: float (side, side, 3) in 0..1."""
    top, bottom = (np.array(colour) for colour in SKY[scene.light])
    height = np.linspace(0, 1, side)[:, None, None]
    pixels = top + (bottom - top) * np.clip(height / scene.horizon, 0, 1) * np.ones((side, side, 3))
    clouds = np.clip(clouds_of(side, 5, rng) - 0.5, 0, 0.4)[..., None]
    pixels = pixels + (1.0 - pixels) * clouds
    ridge = scene.horizon - 0.05 - 0.10 * clouds_of(side, 9, rng)[0][None, :, None]
    far = np.array(colorsys.hsv_to_rgb(scene.leaf_hue + 0.03, 0.35, 0.42)) * (0.8 + 0.4 * clouds_of(side, 24, rng)[..., None])
    pixels = np.where(height > ridge, far, pixels)
    grass = np.array(colorsys.hsv_to_rgb(scene.leaf_hue - 0.03, 0.55, 0.52))
    texture = 0.75 + 0.3 * clouds_of(side, 40, rng)[..., None] + 0.25 * (clouds_of(side, 6, rng)[..., None] - 0.5)
    return np.where(height > scene.horizon, grass * texture * (0.75 + 0.5 * height), pixels)


def clouds_of(side: int, cells: int, rng: Generator) -> NDArray[np.float64]:
    """Smooth noise in 0..1, float (side, side), with `cells` bumps along a side."""
    coarse = Image.fromarray(rng.uniform(0, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float64).clip(0, 1)


def paint_trellis(canvas: Canvas, rng: Generator) -> None:
    """A white post and two wires behind the tree."""
    x = rng.choice([rng.uniform(0.04, 0.16), rng.uniform(0.84, 0.96)])
    for edge, tone in ((0.022, 0.62), (0.012, 0.88)):
        canvas.polygon(np.array([[x - edge, 0.12], [x + 0.012, 0.12], [x + 0.012, 0.9], [x - edge, 0.9]]), (tone, tone, tone * 0.95))
    for y in (0.3, 0.52):
        canvas.polygon(np.array([[0, y], [1, y + 0.01], [1, y + 0.016], [0, y + 0.006]]), (0.55, 0.55, 0.53))


def paint_wood(canvas: Canvas, scene: Scene, light: NDArray[np.float64], rng: Generator) -> None:
    """The trunk, darker away from the light, and branches into the crown."""
    x, y = scene.centre
    base, width, lean = 0.95, rng.uniform(0.030, 0.045), rng.uniform(-0.03, 0.03)
    bark = np.array(colorsys.hsv_to_rgb(rng.uniform(0.05, 0.09), 0.4, rng.uniform(0.30, 0.42)))
    trunk = np.array([[x - width, base], [x + width, base], [x + lean + width / 2, y], [x + lean - width / 2, y]])
    canvas.polygon(trunk, bark * 0.65)
    lit = trunk.copy()
    if light[0] > 0:
        lit[[0, 3], 0] += (width, width / 2)
    else:
        lit[[1, 2], 0] -= (width, width / 2)
    canvas.polygon(lit, bark * 1.15)
    for _ in range(int(rng.integers(5, 9))):
        angle = rng.uniform(-2.8, -0.34)
        start = np.array([x + lean * 0.6, rng.uniform(y + 0.02, y + 0.18)])
        end = start + np.array([math.cos(angle) * scene.extent[0], math.sin(angle) * scene.extent[1]]) * rng.uniform(0.6, 0.95)
        across = np.array([-math.sin(angle), math.cos(angle)]) * rng.uniform(0.006, 0.012)
        canvas.polygon(np.array([start - across, start + across, end + across / 3, end - across / 3]), bark * rng.uniform(0.7, 1.1))


def inside_crown(scene: Scene, count: int, reach: float, rng: Generator) -> NDArray[np.float64]:
    """Points in the crown's ellipse, float (count, 2)."""
    angle, radius = rng.uniform(0, 2 * math.pi, count), np.sqrt(rng.uniform(0, 1, count)) * reach
    unit = np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]
    points: NDArray[np.float64] = np.array(scene.centre) + unit * np.array(scene.extent)
    return points


def paint_leaves(canvas: Canvas, scene: Scene, light: NDArray[np.float64], count: int, depth: float, rng: Generator) -> None:
    """A layer of `count` leaves; `depth` 0 lies at the back and dark, 1 in front and bright."""
    twigs = inside_crown(scene, max(count // 7, 1), 1.0, rng)
    centres = twigs[rng.integers(0, len(twigs), count)] + rng.normal(0, 0.035, (count, 2))
    length = rng.uniform(*scene.domain.leaf_length, count)
    angle = rng.normal(math.pi / 2, 0.9, count)
    along = np.stack([np.cos(angle), np.sin(angle)], 1) * length[:, None] / 2
    across = np.stack([-np.sin(angle), np.cos(angle)], 1) * (length * rng.uniform(0.18, 0.32, count))[:, None]
    shape = np.array([(-1, 0), (-0.45, 0.8), (0.1, 1.0), (0.6, 0.6), (1, 0), (0.6, -0.6), (0.1, -1.0), (-0.45, -0.8)])
    outlines = centres[:, None] + shape[None, :, :1] * along[:, None] + shape[None, :, 1:] * across[:, None]
    towards = ((centres - np.array(scene.centre)) / np.array(scene.extent)) @ light
    value = (0.30 + 0.22 * depth) * (1 + 0.45 * towards) + rng.normal(0, 0.06, count)
    hue = scene.leaf_hue + rng.normal(0, 0.012, count)
    saturation = rng.uniform(0.45, 0.75, count) * (1 - 0.15 * depth)
    for outline, h, s, v in zip(outlines, hue, saturation, value.clip(0.10, 0.85), strict=True):
        canvas.polygon(outline, colorsys.hsv_to_rgb(h % 1.0, s, v))


def fruit_places(scene: Scene, rng: Generator) -> list[tuple[float, float, float]]:
    """Centres and radii of the fruit, no two more than a little over each other."""
    places: list[tuple[float, float, float]] = []
    for _ in range(scene.count * 8):
        radius = rng.uniform(*scene.domain.radius) * FRUITS[scene.fruit].scale
        x, y = inside_crown(scene, 1, 0.9, rng)[0]
        if all(math.hypot(x - a, y - b) > 0.85 * (radius + r) for a, b, r in places):
            places.append((float(x), float(y), float(radius)))
        if len(places) == scene.count:
            break
    return places


def kinds_of(scene: Scene, count: int, rng: Generator) -> list[str]:
    """The kind of each fruit. Of several kinds each has one at least, if there is fruit enough, and chance decides on the rest."""
    if not scene.kinds:
        return [scene.fruit] * count
    drawn = [scene.kinds[number] for number in rng.integers(len(scene.kinds), size=count)]
    return [*scene.kinds, *drawn][:count]


def paint_fruit(
    canvas: Canvas, kind_name: str, light: NDArray[np.float64], place: tuple[float, float, float], number: int, rng: Generator
) -> None:
    """A lit ball with a blush, a highlight and a stalk; its pixels get `number`."""
    x, y, radius = (part * canvas.side for part in place)
    ys, xs = np.mgrid[math.floor(y - radius) : math.ceil(y + radius) + 1, math.floor(x - radius) : math.ceil(x + radius) + 1]
    inside = (ys >= 0) & (ys < canvas.side) & (xs >= 0) & (xs < canvas.side)
    dx, dy = (xs + 0.5 - x) / radius, (ys + 0.5 - y) / (radius * rng.uniform(0.92, 1.0))
    ball = (dx**2 + dy**2 <= 1.0) & inside
    normal = np.stack([dx, dy, np.sqrt(np.clip(1 - dx**2 - dy**2, 0, 1))], -1)
    direction = np.array([light[0] * 0.65, light[1] * 0.65, 0.75])
    shine = np.clip(normal @ (direction / np.linalg.norm(direction)), 0, 1)[..., None]
    kind = FRUITS[kind_name]
    shaded, lit = np.array(kind.shaded) * rng.uniform(0.85, 1.15), np.array(kind.lit) * rng.uniform(0.88, 1.08)
    colours = shaded * (0.45 + 0.55 * shine) + (lit - shaded) * shine**1.3 + 0.55 * shine**28
    box = (int(xs[0, 0]), int(ys[0, 0]))
    canvas.colours.paste(Image.fromarray(to_bytes(colours)), box, Image.fromarray((ball * 255).astype(np.uint8)))
    canvas.fruit.paste(number, box, Image.fromarray((ball * 255).astype(np.uint8)))
    stalk = np.array([[x - 1, y - radius * 0.95], [x + 1, y - radius * 0.95], [x + 2, y - radius * 0.5], [x, y - radius * 0.5]])
    canvas.draw.polygon(stalk.ravel().tolist(), fill=(60, 44, 28))


def paint_distractors(canvas: Canvas, scene: Scene, rng: Generator) -> None:
    """Red things that are not fruit: turned leaves, a tag on the trunk, poppies in the grass."""
    for _ in range(scene.distractors):
        kind = rng.integers(3)
        red = (rng.uniform(0.65, 0.9), rng.uniform(0.08, 0.25), rng.uniform(0.05, 0.2))
        if kind == 0:
            point, (long, thin) = inside_crown(scene, 1, 1.0, rng)[0], (0.045, 0.012)
            angle = rng.uniform(0, math.pi)
        elif kind == 1:
            point, (long, thin), angle = np.array([scene.centre[0], rng.uniform(0.72, 0.85)]), (0.035, 0.022), 0.0
        else:
            point = np.array([rng.uniform(0.05, 0.95), rng.uniform(min(scene.horizon + 0.12, 0.9), 0.97)])
            (long, thin), angle = (0.016, 0.014), rng.uniform(0, math.pi)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        canvas.polygon(point + np.array([[-long, -thin], [long, -thin], [long, thin], [-long, thin]]) @ turn, red)


def develop(colours: Image.Image, scene: Scene, size: int, rng: Generator) -> NDArray[np.uint8]:
    """The camera: dappled shade, tint, lens blur, sensor noise and JPEG; uint8 (size, size, 3)."""
    side = colours.width
    shade = 1 - scene.shade * np.clip(1.6 * clouds_of(side, 6, rng) - 0.6, 0, 1)[..., None]
    pixels = np.asarray(colours, np.float64) / 255 * shade * np.array(LIGHT_TINT[scene.light])
    small = Image.fromarray(to_bytes(pixels)).resize((size, size), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(rng.uniform(*scene.domain.blur) * size / 96))
    grain = rng.normal(0, rng.uniform(*scene.domain.noise), (size, size, 3))
    file = io.BytesIO()
    quality = int(rng.integers(scene.domain.quality[0], scene.domain.quality[1] + 1))
    Image.fromarray(to_bytes(np.asarray(small, np.float64) / 255 + grain)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"), np.uint8)


def visible_boxes(fruit: NDArray[np.int32], radii: list[float], size: int) -> tuple[NDArray[np.float32], list[int]]:
    """Boxes, float32 (N, 4), around what is seen of each fruit, and its number; fruit that is mostly hidden has none."""
    boxes, numbers = [], []
    for number, radius in enumerate(radii, start=1):
        rows, columns = np.nonzero(fruit == number)
        if len(rows) < MIN_VISIBLE * math.pi * radius**2:
            continue
        numbers.append(number)
        boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    corners: NDArray[np.float32] = np.array(boxes, np.float32).reshape(-1, 4) * np.float32(size / fruit.shape[0])
    return corners, numbers


def to_bytes(pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours in 0..1 as bytes."""
    return (pixels.clip(0, 1) * 255).astype(np.uint8)
