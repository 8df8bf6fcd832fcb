"""How often the intervals of `synthbench.evidence` contain the truth, and how often *replaces* is said wrongly: simulated detectors.

    uv run python tests/performance/simulate_evidence.py differences [--images 80 120 331] [--repeats 100] [--jobs 2]
    uv run python tests/performance/simulate_evidence.py normal [--repeats 1000]

`differences` simulates detections (tests/fakes/evidence_simulation.py): AP of `real`, of `references` and of three generated training
sets whose true AP is exactly the margin below `real`, where *replaces* is said wrongly most often. `normal` draws AP and its
image effects from normal distributions, for many more repetitions. `equivalent` does so for curves of real photographs, with the
isotonic fit that synthbench uses and with a power law, a - b n^-c. All print Markdown tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))

from evidence_simulation import Floats, Row, simulate
from synthbench.evidence import MARGIN, Estimate, Spread, differences, equivalent_images, judge, judge_all, levels
from synthbench.evidence.equivalent import isotonic
from synthbench.evidence.intervals import pooled

DETECTORS = {"YOLOv8": 0.032, "Faster R-CNN": 0.008, "DETR": 0.004}
"""Standard deviation of AP between seeds of the detector, as measured on apples."""
GENERATED = 3
ROWS = [Row(0.45), Row(0.33, 0.01), *[Row(0.45 - MARGIN, 0.01, 0.01)] * GENERATED]
IMAGES, REPLICATES, RESAMPLES = (80, 120, 331), (1, 3, 6), 100
METHODS = ("images alone", "own s^2", "pooled s^2", "synthbench")


def others(values: Floats, resampled: Floats, images: int) -> dict[str, list[Estimate]]:
    """The differences to row 0 by simpler methods, which add the whole bootstrap variance of the mean."""
    gaps, again = (values - values[0])[1:], (resampled - resampled[0])[1:]
    count, pool = values.shape[1], pooled(gaps)
    found: dict[str, list[Estimate]] = {method: [] for method in METHODS[:-1]}
    for gap, row in zip(gaps, again, strict=True):
        image = float(row.mean(axis=0).var(ddof=1))
        spreads = {"images alone": (0.0, float("inf"))}
        if count > 1:
            spreads |= {"own s^2": (float(gap.var(ddof=1)), count - 1.0), "pooled s^2": (pool[0], len(gaps) * (count - 1.0))}
        for method, (between, freedom) in spreads.items():
            found[method].append(Estimate(float(gap.mean()), count, Spread(count, 10**9, between, freedom, image, 0.0)))
    return found


def covers(estimate: Estimate, truth: float) -> bool:
    """Whether the 95 % interval contains the truth."""
    assert estimate.interval
    return estimate.interval[0] <= truth <= estimate.interval[1]


def examine(values: Floats, resampled: Floats, images: int) -> dict[str, float]:
    """One repetition: shares of the generated rows, whose true difference is -MARGIN."""
    found: dict[str, Any] = {}
    for method, simple in others(values, resampled, images).items():
        if simple:
            found[method] = np.mean([covers(row, -MARGIN) for row in simple[1:]])
    if values.shape[1] > 1:
        rows = differences(values, resampled, 0, images)[2:]
        intervals = [row.interval for row in rows if row.interval]
        found["synthbench"] = np.mean([covers(row, -MARGIN) for row in rows])
        found["width"] = np.mean([high - low for low, high in intervals])
        found["wrong, one"] = np.mean([judge(row).word == "replaces" for row in rows])
        found["wrong, family"] = any(verdict.word == "replaces" for verdict in judge_all(rows))
        found["right at 0"] = np.mean([judge(row, 2 * MARGIN).word == "replaces" for row in rows])
        found["AP"] = np.mean([covers(row, truth.mean) for row, truth in zip(levels(values, resampled, images), ROWS, strict=True)])
    return {name: float(value) for name, value in found.items()}


def repetitions(task: tuple[float, int, int, int]) -> list[dict[int, dict[str, float]]]:
    """Several repetitions of one detector and number of test images, each with the first 1, 3 and 6 of its replicates."""
    detector, images, repeats, seed = task
    rng = np.random.default_rng([seed, images, round(detector * 1000)])
    done = []
    for _ in range(repeats):
        values, resampled = simulate(ROWS, detector, max(REPLICATES), images, RESAMPLES, rng)
        done.append({count: examine(values[:, :count], resampled[:, :count], images) for count in REPLICATES})
    return done


def table(columns: list[str], rows: Iterator[list[str]]) -> None:
    """A Markdown table, row by row as they are ready."""
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def simulate_differences(numbers: Sequence[int], repeats: int, jobs: int) -> None:
    """At the level of detections."""
    names = [*METHODS, "width", "AP", "wrong, one", "wrong, family", "right at 0"]
    with ProcessPoolExecutor(jobs) as pool:
        settings = [(name, images) for name in DETECTORS for images in numbers]
        parts = [(len(part), int(part[0])) for part in np.array_split(range(repeats), 2 * jobs)]
        tasks = [[pool.submit(repetitions, (DETECTORS[name], images, *part)) for part in parts] for name, images in settings]

        def rows() -> Iterator[list[str]]:
            every: list[dict[int, dict[str, float]]] = []
            for (name, images), futures in zip(settings, tasks, strict=True):
                done = [each for future in futures for each in future.result()]
                yield from ([name, str(images), *line] for line in _means(done, names))
                every += done
            yield from (["all", "", *line] for line in _means(every, names))

        table(["detector", "test images", "replicates", *names], rows())


def _means(done: list[dict[int, dict[str, float]]], names: list[str]) -> Iterator[list[str]]:
    """For each number of replicates: the number, and the mean of each figure over repetitions."""
    for count in REPLICATES:
        means = {key: np.mean([each[count][key] for each in done]) for key in done[0][count]}
        yield [str(count), *(f"{means[key]:.3f}" if key in means else "" for key in names)]


def simulate_normal(repeats: int) -> None:
    """At the level of AP: a difference of a base and M rows, with effects of the test images on each row."""
    rng = np.random.default_rng(5)
    scenes = {
        "4 rows, equal spread": ([0.03] * 4, 0.03, 0.01, 0.01),
        "8 rows, little from images": ([0.03] * 8, 0.03, 0.003, 0.003),
        "1 row": ([0.03], 0.03, 0.01, 0.005),
        "2 rows": ([0.03] * 2, 0.03, 0.01, 0.01),
        "2 rows of 4 vary 3 times as much": ([0.01, 0.01, 0.03, 0.03], 0.01, 0.005, 0.005),
        "1 row of 6 varies 3 times as much": ([0.01] * 5 + [0.03], 0.01, 0.003, 0.003),
        "test images dominate": ([0.004] * 4, 0.004, 0.015, 0.01),
    }

    def rows() -> Iterator[list[str]]:
        for name, (spreads, base, shared, own) in scenes.items():
            for count in (2, 3, 6):
                yield [name, str(count), *_normal(np.array([base, *spreads]), shared, own, count, repeats, rng)]

    table(["case", "replicates", "mean", "worst row", "own s^2", "own, worst", "pooled s^2", "pooled, worst"], rows())


def _normal(spreads: Floats, shared: float, own: float, count: int, repeats: int, rng: np.random.Generator) -> Iterator[str]:
    size = (len(spreads), count)
    seen: dict[str, list[list[bool]]] = {method: [] for method in METHODS[1:]}
    for _ in range(repeats):
        effects = shared * rng.normal(size=(len(spreads), 1)) + own * rng.normal(size=size)
        effects[0] = 0
        values = spreads[:, None] * rng.normal(size=size) + effects
        again = shared * rng.normal(size=(len(spreads), 1, 200)) + own * rng.normal(size=(*size, 200))
        again[0] = 0
        seen["synthbench"].append([covers(row, 0) for row in differences(values, again, 0, 10**6)[1:]])
        for method, simple in others(values, again, 10**6).items():
            if method in seen:
                seen[method].append([covers(row, 0) for row in simple])
    for method in ("synthbench", "own s^2", "pooled s^2"):
        shares = np.mean(seen[method], axis=0)
        yield f"{shares.mean():.3f}"
        yield f"{shares.min():.3f}"


COUNTS = (20, 40, 80, 160, 320)
CURVES = {"power law": lambda n: 0.55 - 1.2 * n**-0.5, "straight in log n": lambda n: 0.1 * np.log(n / 5)}


def power_law(counts: Floats, means: Floats, numbers: Floats) -> tuple[Floats, Floats]:
    """a - b n^-c with c in steps, by least squares; at the best c it is linear in the means."""
    best: tuple[float, Floats] | None = None
    for power in np.linspace(0.05, 2.0, 40):
        design = np.column_stack([np.ones_like(counts), -(counts**-power)])
        solve = np.linalg.pinv(design)
        left = float(((means - design @ solve @ means) ** 2).sum())
        if best is None or left < best[0]:
            best = left, np.column_stack([np.ones_like(numbers), -(numbers**-power)]) @ solve
    assert best
    return best[1], np.zeros(len(numbers))


def simulate_equivalent(repeats: int) -> None:
    """At the level of AP: coverage of the interval of a generated set that is worth 60 photographs, and of one worth 240."""
    rng = np.random.default_rng(6)

    def rows() -> Iterator[list[str]]:
        for name, curve in CURVES.items():
            for detector in (0.032, 0.008):
                for truth in (60, 240):
                    for count in (3, 6):
                        for fit in (isotonic, power_law):
                            done = [_equivalent(curve, truth, detector, count, fit, rng) for _ in range(repeats)]
                            yield [
                                name,
                                f"{detector}",
                                str(truth),
                                str(count),
                                fit.__name__,
                                *(f"{each:.3f}" for each in np.mean(done, axis=0)),
                            ]

    table(["curve", "seed sd", "worth", "replicates", "fit", "coverage", "both ends within", "error of log2 n"], rows())


def _equivalent(curve: Callable[[Any], Any], truth: float, detector: float, count: int, fit: Any, rng: np.random.Generator) -> list[float]:
    """Covered or not, bounded on both sides or not, and by how many doublings the number is off (an end counts as that number)."""
    true = np.array([*(curve(n) for n in COUNTS), curve(truth)])[:, None]
    size = (len(true), count)
    values = (
        true + np.hypot(detector, 0.01) * rng.normal(size=size) + 0.01 * rng.normal(size=(len(true), 1)) + 0.007 * rng.normal(size=size)
    )
    again = values[..., None] + 0.01 * rng.normal(size=(len(true), 1, 100)) + 0.007 * rng.normal(size=(*size, 100))
    found = equivalent_images(COUNTS, values[:-1], again[:-1], values[-1], again[-1], 10**6, fit)
    covered = (found.low is None or found.low <= truth) and (found.high is None or truth <= found.high)
    number = found.images or {"fewer": found.smallest, "more": found.largest}[found.position]
    return [float(covered), float(found.low is not None and found.high is not None), abs(float(np.log2(number / truth)))]


def main() -> None:
    """Prints the tables that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["differences", "normal", "equivalent"])
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.part == "differences":
        simulate_differences(options.images, options.repeats, options.jobs)
    elif options.part == "normal":
        simulate_normal(options.repeats)
    else:
        simulate_equivalent(options.repeats)


if __name__ == "__main__":
    main()
