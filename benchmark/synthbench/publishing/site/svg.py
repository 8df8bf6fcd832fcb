"""Charts as SVG, made when the site is built. Whatever a label contains is escaped; colours and fonts come from the style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log, log10
from typing import Any

from markupsafe import Markup, escape

from synthbench.reporting.legend import colour_of
from synthbench.reporting.tiles import Tile
from synthbench.results.claims import Figure
from synthbench.text import shortened

WIDTH = 400
"""Of a chart, in its own units; the page scales it."""
ROW, LABEL = 34, 52
"""Height of a row of a forest plot, and how many characters of a label there is room for."""


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """An element. Children that are not markup are escaped, as are attributes; `_` at the end is dropped, others are `-`."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(number(value))}"' for key, value in attributes.items())
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def number(value: object) -> object:
    """A coordinate with as many digits as matter."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def short(text: str, longest: int = LABEL) -> str:
    """Text that fits."""
    return shortened(text, longest)


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` on a stretch of a chart."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The coordinate of a value; values beyond an end are drawn at it."""
        value = min(max(value, self.low), self.high)
        share = log(value / self.low) / log(self.high / self.low) if self.logarithmic else (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """About five round values."""
        raw = (self.high - self.low) / 4
        power = 10 ** floor(log10(raw))
        step = next(each * power for each in (1, 2, 5, 10) if each * power >= raw * 0.999)
        first = -floor(-self.low / step + 1e-9)
        return [round(each * step, 10) for each in range(first, floor(self.high / step + 1e-9) + 1)]


def reach(figures: Sequence[Figure], *values: float) -> tuple[float, float]:
    """The least and the greatest of figures, their intervals and other values, with a little room."""
    found = [*values]
    for figure in figures:
        found += [each for each in (figure.mean, figure.low, figure.high) if each is not None]
    low, high = min(found), max(found)
    room = max(0.04 * (high - low), 0.005)
    return max(low - room, -1.0), min(high + room, 1.0)


def whisker(figure: Figure, axis: Axis, y: float, radius: float = 3.5) -> Markup:
    """A mean with its interval, lying."""
    line = Markup()
    if figure.low is not None and figure.high is not None:
        line = tag("line", x1=axis.at(figure.low), x2=axis.at(figure.high), y1=y, y2=y, class_="interval")
    return line + tag("circle", cx=axis.at(figure.mean), cy=y, r=radius, class_="mean")


def bar(figure: Figure, low: float, high: float) -> Markup:
    """The AP of a line of a table on the table's common axis."""
    axis = Axis(low, high, 4, 96)
    return tag("svg", whisker(figure, axis, 6, 3), viewBox="0 0 100 12", class_="bar", aria_hidden="true", focusable="false")


def forest(rows: Sequence[tuple[str, Figure]], margin: float, title: str) -> Markup:
    """Differences to the real images, with the lines of no difference and of the margin."""
    low, high = reach([figure for _, figure in rows], -margin, 0.0)
    axis = Axis(low, high, 8, WIDTH - 8)
    bottom = ROW * len(rows) + 6
    parts = [guide(axis.at(0), bottom, "zero"), guide(axis.at(-margin), bottom, "margin")]
    for position, (label, figure) in enumerate(rows):
        parts.append(tag("text", short(label), x=8, y=ROW * position + 14, class_="label"))
        parts.append(whisker(figure, axis, ROW * position + 24))
    for tick in axis.ticks():
        label = f"{tick:+.2f}".replace("-", "\N{MINUS SIGN}") if tick else "0"
        parts.append(tag("text", label, x=axis.at(tick), y=bottom + 14, class_="tick"))
    parts.append(tag("text", "AP more (right) or less (left) than with all real images", x=WIDTH / 2, y=bottom + 30, class_="tick"))
    return chart(title, bottom + 36, parts)


def guide(x: float, bottom: float, kind: str) -> Markup:
    """An upright line."""
    return tag("line", x1=x, x2=x, y1=0, y2=bottom, class_=kind)


@dataclass(frozen=True)
class Curve:
    """AP by number of images. kind: `real` or `generated`."""

    label: str
    kind: str
    points: Sequence[tuple[int, Figure]]


def curves(found: Sequence[Curve], level: tuple[str, Figure] | None, title: str) -> Markup:
    """AP against the number of training images, on a logarithmic axis. level: a set whose AP is drawn as a line across."""
    counts = sorted({max(count, 1) for curve in found for count, _ in curve.points})
    figures = [figure for curve in found for _, figure in curve.points] + ([level[1]] if level else [])
    low, high = reach(figures)
    across, down = Axis(counts[0], counts[-1], 48, WIDTH - 16, logarithmic=True), Axis(low, high, 200, 12)
    parts = [
        part
        for tick in down.ticks()
        for part in (
            tag("line", x1=44, x2=WIDTH - 8, y1=down.at(tick), y2=down.at(tick), class_="grid"),
            tag("text", f"{tick:.2f}", x=40, y=down.at(tick) + 4, class_="tick end"),
        )
    ]
    if level:
        parts.append(tag("line", x1=44, x2=WIDTH - 8, y1=down.at(level[1].mean), y2=down.at(level[1].mean), class_="level"))
        parts.append(tag("text", short(level[0]), x=WIDTH - 10, y=down.at(level[1].mean) - 5, class_="label end"))
    for curve in found:
        places = [(across.at(max(count, 1)), figure) for count, figure in curve.points]
        parts.append(
            tag("polyline", points=" ".join(f"{x:.1f},{down.at(figure.mean):.1f}" for x, figure in places), class_=f"curve {curve.kind}")
        )
        for x, figure in places:
            if figure.low is not None and figure.high is not None:
                parts.append(tag("line", x1=x, x2=x, y1=down.at(figure.low), y2=down.at(figure.high), class_=f"interval {curve.kind}"))
            parts.append(tag("circle", cx=x, cy=down.at(figure.mean), r=3.5, class_=f"mean {curve.kind}"))
    last = -100.0
    for count in counts:
        if across.at(count) - last > 26:
            last = across.at(count)
            parts.append(tag("text", str(count), x=last, y=218, class_="tick"))
    parts.append(tag("text", "images that the detector is trained on", x=WIDTH / 2, y=236, class_="tick"))
    return chart(title, 242, parts)


def chart(title: str, height: float, parts: Sequence[str]) -> Markup:
    """A chart that a screen reader announces by its title; the figures are in the table beside it."""
    return tag(
        "svg", tag("title", title), *parts, viewBox=f"0 0 {WIDTH} {number(float(height))}", class_="chart", role="img", aria_label=title
    )


def tile(sheet: str, size: tuple[int, int], shown: Tile, title: str) -> Markup:
    """A thumbnail with its boxes, cut from the sheet."""
    looks: list[dict[str, Any]] = [{"class_": "box"}] * len(shown.boxes)
    if shown.labels:  # a style sheet would overrule these
        looks = [{"fill": "none", "stroke": hexadecimal(label), "stroke_width": 1.5} for label in shown.labels]
    boxes = [
        tag("rect", x=shown.left + x1, y=shown.top + y1, width=max(x2 - x1, 0.0), height=max(y2 - y1, 0.0), **look)
        for (x1, y1, x2, y2), look in zip(shown.boxes, looks, strict=True)
    ]
    picture = tag("image", href=sheet, width=size[0], height=size[1])
    view = f"{shown.left} {shown.top} {shown.width} {shown.height}"
    return tag("svg", picture, *boxes, viewBox=view, class_="tile", role="img", aria_label=title, width=shown.width, height=shown.height)


def hexadecimal(label: int) -> str:
    """The colour of a category as HTML writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour_of(label))


def swatch(label: int) -> Markup:
    """A square in the colour of a category, with an edge that is seen on white and on black."""
    edge = {"fill": hexadecimal(label), "stroke": "#808080", "stroke_width": 1}
    return tag("svg", tag("rect", x=1, y=1, width=11, height=11, **edge), viewBox="0 0 13 13", width=13, height=13, aria_hidden="true")


def badge(right: str) -> bytes:
    """A badge: `synthbench` and what is said of a row. A file of its own, so its colours are in it."""
    left, name = "synthbench", f"synthbench: {right}"
    widths = [10 + 6.6 * len(text) for text in (left, right)]
    total = sum(widths)
    texts = [
        tag("text", text, x=x, y=14, textLength=6.6 * len(text), lengthAdjust="spacingAndGlyphs", fill="#ffffff", text_anchor="middle")
        for text, x in ((left, widths[0] / 2), (right, widths[0] + widths[1] / 2))
    ]
    body = tag(
        "svg",
        tag("title", name),
        tag("rect", width=total, height=20, rx=3, fill="#3d4450"),
        tag("rect", x=widths[0], width=widths[1], height=20, rx=3, fill="#0b6299"),
        tag("g", *texts, font_family="Verdana,DejaVu Sans,sans-serif", font_size=11),
        xmlns="http://www.w3.org/2000/svg",
        width=total,
        height=20,
        viewBox=f"0 0 {number(total)} 20",
        role="img",
        aria_label=name,
    )
    return f"{body}\n".encode()
