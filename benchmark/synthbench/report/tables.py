"""The tables of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from synthbench.report.scores import Scores, signed

UNKNOWN = "\N{EN DASH}"
COSTS = {
    "fit": "fit the generator",
    "sample": "sample images",
    "train": "train for annotating",
    "predict": "propose boxes",
    "annotate": "annotate",
}
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], words: int = 1) -> str:
    """A Markdown table; the first `words` columns are aligned left, the rest right."""
    safe = [[str(value).replace("|", "\\|").replace("\n", " ") for value in row] for row in rows]
    columns = ["left"] * words + ["right"] * (len(headers) - words)
    return tabulate(safe, headers, "github", colalign=columns if safe else None, disable_numparse=True)


def figure(value: float | None, digits: int = 3) -> str:
    """A number, or a dash where there is none."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def matrix(scores: Scores, metric: str) -> str:
    """Training sets down, detectors across; each with its difference to `real`."""
    rows = [[f"`{row}`", *(_cell(scores, row, detector, metric) for detector in scores.detectors)] for row in scores.rows()]
    return table([f"{metric}, trained on", *scores.detectors], rows)


def _cell(scores: Scores, row: str, detector: str, metric: str) -> str:
    score, failed = scores.of(row, detector, metric), scores.failed(row, detector)
    if score is None:
        return "failed" if failed else UNKNOWN
    told = f"{score.mean:.3f}" + (f" ± {score.deviation:.3f}" if len(score.values) > 1 else "")
    gap = None if scores.kinds[row] == "real" else scores.difference(row, detector, "real", metric)
    told += f" ({signed(gap)})" if gap is not None else ""
    return told + (f", {failed} of {scores.seeds} seeds failed" if failed else "")


def training_sets(held: Mapping[str, Any], scores: Scores) -> str:
    """What each row of the matrix is."""
    made = {each["name"]: each for each in held["generated"]}
    mixes = {mix["name"]: mix["parts"] for mix in held["suite"]["mixes"]}
    what = {
        "real": "all real training images with their true boxes",
        "references": f"{held['suite']['references']} of the real training images with their true boxes, which generators are fitted on",
    }
    rows = []
    for row in scores.rows():
        if row in made:
            told = f"sampled by `{made[row]['generator']}`, boxes by `{made[row]['annotator']}`"
        else:
            told = what.get(row) or " + ".join(f"`{part}`" for part in mixes[row])
        trained = scores.trained_on(row)
        counts = [*trained, figure(trained[1] / trained[0], 1)] if trained else [UNKNOWN] * 3
        rows.append([f"`{row}`", told, *counts])
    return table(["training set", "what it is", "images", "boxes", "boxes an image"], rows, words=2)


def costs(held: Mapping[str, Any], scores: Scores) -> str:
    """Seconds of each stage, for every training set and every detector trained on it."""
    kinds = [kind for kind in COSTS if any(cost[kind] for cost in held["costs"].values())]
    trainings = [f"train {detector} on it" for detector in scores.detectors]
    headers = ["training set", *(COSTS[kind] for kind in kinds), "to have it", *trainings]
    rows = [
        [
            f"`{row}`",
            *(figure(cost[kind] or None, 1) for kind in kinds),
            figure(sum(cost.values()) or None if scores.trained_on(row) else None, 1),
            *(figure(scores.training_seconds(row, detector), 1) for detector in scores.detectors),
        ]
        for row, cost in held["costs"].items()
    ]
    return table(headers, rows)


def judged(held: Mapping[str, Any]) -> str:
    """How good the boxes of annotators are, on the test images."""
    rows = [
        [f"`{each['annotator']}`", each["generator"] or UNKNOWN, figure(each.get("precision")), figure(each.get("recall"))]
        for each in held["judged"]
    ]
    return table(["annotator", "of generator", "precision", "recall"], rows, words=2)


def licences(held: Mapping[str, Any]) -> str:
    """Every plugin that took part, and the data."""
    suite = held["suite"]
    rows = [["data source", *_plugin(suite["data"])]]
    for kind in ("generator", "annotator", "detector"):
        rows += [[kind, *_plugin(entry)] for entry in suite[f"{kind}s"]]
    data = held["data"]
    if data:
        rows.insert(0, ["real images and boxes", UNKNOWN, data["source"] or UNKNOWN, data["license"] or "not stated"])
    return table(["what", "name", "from", "licence"], rows, words=4)


def _plugin(entry: Mapping[str, Any]) -> list[str]:
    return [f"`{entry['name']}`", f"{entry['distribution']} {entry['release']}, {entry['plugin']} {entry['version']}", entry["license"]]


def options(entries: Iterable[Mapping[str, Any]]) -> str:
    """Every option of some entries with its value."""
    rows = [[f"`{entry['name']}`", f"`{name}`", f"`{value!r}`"] for entry in entries for name, value in entry["options"].items()]
    return table(["entry", "option", "value"], rows, words=3)


def stages(held: Mapping[str, Any]) -> str:
    """Every stage with what it took."""
    rows = [
        [
            stage["label"],
            "from the store" if stage.get("cached") else stage["state"],
            figure(stage.get("seconds"), 1),
            figure(stage["peak_memory"] / 2**20 if stage.get("peak_memory") else None, 0),
            f"`{stage['key'][:10]}`",
        ]
        for stage in held["stages"]
    ]
    return table(["stage", "state", "seconds", "peak of its worker so far, MiB", "key"], rows, words=2)


def metrics(held: Mapping[str, Any]) -> str:
    """All of COCO's figures, cell by cell."""
    rows = [[*_cell_name(cell), *(figure(cell["metrics"].get(metric)) for metric in METRICS)] for cell in held["cells"]]
    return table(["training set", "detector", "seed", *METRICS], rows, words=2)


def recorded(held: Mapping[str, Any]) -> str:
    """What trainings told of themselves."""
    rows = [
        [*_cell_name(cell), ", ".join(f"{name} {_plain(value)}" for name, value in cell["training"].items())]
        for cell in held["cells"]
        if cell["training"]
    ]
    return table(["training set", "detector", "seed", "recorded"], rows, words=4)


def _cell_name(cell: Mapping[str, Any]) -> list[str]:
    return [f"`{cell['training_set']}`", cell["detector"], str(cell["seed"])]


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
