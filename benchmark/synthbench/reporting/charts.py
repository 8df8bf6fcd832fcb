"""The charts of a report. Without pyplot, so nothing of matplotlib's is changed for others in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from synthbench.files import replacing
from synthbench.reporting.scores import Scores
from synthbench.results.claims import Figure as Estimate
from synthbench.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#666666")  # Okabe and Ito's, for the colour-blind
CURVES = "s^vDP*"
MARKERS = "osD^vP*X<>ph"
WIDTH = 8.5  # inches
LETTERS = 15  # points: nearly 9 pixels where a telephone shows a chart 360 pixels wide
LINE = 0.35  # inches that a line of such letters takes
MARK, REAL_MARK = "o", "s"  # of generated images alone, and of real images or a mix with them
GREY = "#444444"
LONGEST = 36  # letters of a training set's name beside a chart
LIGHT = 0.55  # of the highest AP: from here on the colours are light
LOG_FROM = 20  # how many times the least seconds the most must be, so that they are spread over a logarithmic axis


def draw_matrix(scores: Scores, path: Path) -> str:
    """A heat map of AP, training sets down and detectors across; lightness alone tells high from low."""
    rows, detectors = scores.rows(), scores.detectors
    levels = [[scores.level(row, detector) for detector in detectors] for row in rows]
    highest = max(0.05, *(each.figure.mean for each in scores.evidence.levels))
    figure = Figure(figsize=(min(WIDTH, 3.6 + 1.5 * len(detectors)), 0.9 + 0.34 * len(rows)), layout="constrained")
    axes = figure.subplots()
    means = [[level.mean if level else float("nan") for level in line] for line in levels]
    axes.imshow(means, cmap="cividis", vmin=0, vmax=highest, aspect="auto")
    for down, line in enumerate(levels):
        for across, level in enumerate(line):
            if level:
                colour = "black" if level.mean > LIGHT * highest else "white"
                axes.text(across, down, f"{level.mean:.3f}", ha="center", va="center", color=colour, fontsize=10)
    axes.set_xticks(range(len(detectors)), detectors)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    return save(figure, axes, path)


def draw_differences(scores: Scores, path: Path) -> str:
    """A forest plot: the difference of each training set to the real images, a panel for each detector, with the margin."""
    real = scores.of_kind("real")
    assert real is not None, "drawn where there are differences"
    rows = [row for row in scores.rows() if row != real and scores.kinds[row] != "part"]
    detectors = [each for each in scores.detectors if any(scores.difference(row, each, real) for row in rows)]
    shown = {scores.kinds[row] == "generated" for row in rows}
    marks = [
        *([mark(GREY, real=False, label="generated images alone")] if True in shown else []),
        *([mark(GREY, real=True, label="real images, or with them")] if False in shown else []),
        Line2D([], [], color=GREY, linewidth=1, label="all real images"),
        Line2D([], [], color=GREY, linewidth=1, linestyle="--", label=f"margin of {scores.evidence.margin:g}"),
    ]
    height = 1.3 + LINE * (len(rows) + 1) * len(detectors) + LINE * lines_of(marks)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = figure.subplots(len(detectors), 1, sharex=True, squeeze=False)[:, 0]
    for number, (axes, detector) in enumerate(zip(panels, detectors, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        axes.axvline(0, color=GREY, linewidth=1)
        axes.axvline(-scores.evidence.margin, color=GREY, linewidth=1, linestyle="--")
        for position, row in enumerate(rows):
            if found := scores.difference(row, detector, real):
                if found.low is not None and found.high is not None:
                    axes.plot([found.low, found.high], [position, position], color=colour, linewidth=2)
                axes.add_line(mark(colour, real=scores.kinds[row] != "generated", at=(found.mean, position)))
        axes.set_yticks(range(len(rows)), [shortened(row, LONGEST) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_title(detector, loc="left", fontsize=LETTERS)
        axes.tick_params(labelsize=LETTERS)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("AP minus that of all real images", fontsize=LETTERS)
    add_legend(figure, marks)
    return save(figure, panels[-1], path)


def mark(colour: str, *, real: bool, label: str = "", at: tuple[float, float] | None = None) -> Line2D:
    """A mark that tells generated images (a full circle) from real ones (an empty square) without its colour; for a legend without `at`."""
    across, down = ([at[0]], [at[1]]) if at else ([], [])
    shape, face = (REAL_MARK, "white") if real else (MARK, colour)
    return Line2D(
        across, down, linestyle="", marker=shape, color=colour, markerfacecolor=face, markeredgewidth=2, markersize=9, label=label, zorder=3
    )


def add_legend(figure: Figure, marks: Sequence[Line2D]) -> None:
    """What the marks of all panels mean, above them and not over the figures."""
    columns = -(-len(marks) // lines_of(marks))
    figure.legend(handles=marks, loc="outside upper left", ncols=columns, frameon=False, fontsize=LETTERS)


def lines_of(marks: Sequence[Line2D]) -> int:
    """The lines of a legend: two marks fit into one if all are short."""
    return -(-len(marks) // 2) if all(len(str(each.get_label())) <= LONGEST - 10 for each in marks) else len(marks)


def draw_worth(scores: Scores, counts: Mapping[str, int], path: Path) -> str:
    """AP against the number of images, a panel for each detector: real ones, those of the best generated set, and mixes.

    A line across is the level of all images of that set: it meets the curve at the number of real images that they are worth.
    """
    marks = {"real images": Line2D([], [], color=GREY, marker="o", markersize=9, label="real images")}
    ticks = set(counts.values())
    figure = Figure(figsize=(WIDTH, 1.6 + 2.6 * len(scores.detectors)), layout="constrained")
    panels = figure.subplots(len(scores.detectors), 1, sharex=True, squeeze=False)[:, 0]
    for number, (axes, detector) in enumerate(zip(panels, scores.detectors, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        points = [(count, level) for row, count in counts.items() if (level := scores.level(row, detector))]
        axes.plot([count for count, _ in points], [level.mean for _, level in points], "o-", color=colour, markersize=9)
        draw_band(axes, points, colour)
        title = detector
        if pick := scores.closest(detector):
            level = scores.level(pick.row, detector)
            assert level is not None, "what has a score has a level"
            title = f"{detector}, dashed: {shortened(pick.row, LONGEST)}"
            axes.axhline(level.mean, color=GREY, linewidth=1.5, linestyle="--")
            best = "best generated set"
            marks[best] = Line2D([], [], color=GREY, linewidth=1.5, linestyle="--", label=best)
            if level.low is not None and level.high is not None:
                axes.axhspan(level.low, level.high, color=GREY, alpha=0.12, linewidth=0)
            for place, row in enumerate([pick.row, *scores.rows("mix")]):
                grown = [(count, level) for count, part in scores.by_images(row).items() if (level := scores.level(part, detector))]
                if grown:
                    name = "fewer of its images" if row == pick.row else shortened(row, LONGEST)
                    style: dict[str, Any] = {"color": GREY, "linestyle": ":", "marker": CURVES[place % len(CURVES)], "markersize": 9}
                    axes.plot([each for each, _ in grown], [level.mean for _, level in grown], **style)
                    marks[name] = Line2D([], [], label=name, **style)
                    ticks |= {each for each, _ in grown}
        axes.set_ylabel("AP", fontsize=LETTERS)
        axes.tick_params(labelsize=LETTERS)
        axes.set_title(title, loc="left", fontsize=LETTERS)
        axes.set_ylim(max(0.0, axes.get_ylim()[0]), min(1.0, axes.get_ylim()[1]))  # AP ends there, an interval may not
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xscale("log")  # of all panels, which share it
    panels[-1].set_xticks(sorted(ticks), [str(each) for each in sorted(ticks)])
    panels[-1].minorticks_off()
    panels[-1].set_xlabel("images that the detector is trained on", fontsize=LETTERS)
    add_legend(figure, list(marks.values()))
    return save(figure, panels[-1], path)


def draw_band(axes: Axes, points: Sequence[tuple[int, Estimate]], colour: str) -> None:
    """The intervals of a curve as a band."""
    known = [(count, level.low, level.high) for count, level in points if level.low is not None and level.high is not None]
    if known:
        counts, lows, highs = zip(*known, strict=True)
        axes.fill_between(counts, lows, highs, color=colour, alpha=0.2, linewidth=0)


def draw_costs(scores: Scores, costs: Mapping[str, Mapping[str, float]], path: Path) -> str:
    """AP against the seconds it took to have a training set and to train on it: a colour a detector, a mark a training set."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    rows = {row: MARKERS[number % len(MARKERS)] for number, row in enumerate(scores.rows())}
    spent = []
    for pick in scores.picks():
        seconds = sum(costs[pick.row].values()) + (scores.training_seconds(pick.row, pick.detector) or 0)
        spent.append(seconds)
        colour = COLOURS[scores.detectors.index(pick.detector) % len(COLOURS)]
        axes.plot(seconds, pick.score.mean, rows[pick.row], color=colour, markersize=9, markeredgecolor="white")
    if max(spent) > LOG_FROM * min(spent) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        axes.set_xlim(0, 1.08 * max(*spent, 1e-3))
    axes.set_ylim(0, 1.12 * max(0.05, scores.picks()[0].score.mean))
    axes.set_xlabel("seconds to have the training set and to train the detector on it")
    axes.set_ylabel("AP on the test images")
    handles = [Line2D([], [], linestyle="", marker=marker, color="#444444", label=row) for row, marker in rows.items()]
    handles += [Line2D([], [], color=COLOURS[index % len(COLOURS)], linewidth=6, label=name) for index, name in enumerate(scores.detectors)]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    return save(figure, axes, path)


def save(figure: Figure, axes: Axes, path: Path) -> str:
    """Writes a chart, the same bytes for the same figures, and gives the file's name relative to the report."""
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    return f"{path.parent.name}/{path.name}"
