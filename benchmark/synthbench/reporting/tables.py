"""The tables of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tabulate import tabulate

from synthbench.contract.stages import cost_headings
from synthbench.reporting.scores import Scores, spanned
from synthbench.results.model import Cell, EntryInfo, Results, TrainingSetInfo
from synthbench.text import named

UNKNOWN = "\N{EN DASH}"
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], words: int = 1) -> str:
    """A Markdown table; the first `words` columns are aligned left, the rest right."""
    safe = [[str(value).replace("|", "\\|").replace("\n", " ") for value in row] for row in rows]
    columns = ["left"] * words + ["right"] * (len(headers) - words)
    return tabulate(safe, headers, "github", colalign=columns if safe else None, disable_numparse=True)


def figure(value: float | None, digits: int = 3) -> str:
    """A number, or a dash if there is none."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def matrix(scores: Scores, metric: str) -> str:
    """Training sets down, detectors across: means over replicates, AP with its interval."""
    rows = [[f"`{row}`", *(_score(scores, row, detector, metric) for detector in scores.detectors)] for row in scores.rows()]
    return table([f"{metric}, trained on", *scores.detectors], rows)


def _score(scores: Scores, row: str, detector: str, metric: str) -> str:
    score, failed = scores.of(row, detector, metric), scores.failed(row, detector)
    if score is None:
        return "failed" if failed else "waiting" if scores.waiting(row, detector) else UNKNOWN
    level = scores.level(row, detector) if metric == "AP" else None
    text = spanned(level) if level else f"{score.mean:.3f}"
    text += f", {failed} of {len(scores.cells(row, detector))} trainings failed" if failed else ""
    return text + (f", {waiting} of {len(scores.cells(row, detector))} waiting" if (waiting := scores.waiting(row, detector)) else "")


def by_class(results: Results, scores: Scores, detector: str, metric: str = "AP") -> str:
    """A metric of each category, means over replicates: training sets down, categories across, with their numbers of true boxes."""
    first = next(cell for cell in results.cells if cell.classes)
    heads = [f"{named(each.name)} ({each.objects})" for each in first.classes]
    rows = []
    for row in scores.rows():
        found = [scores.of_class(row, detector, number, metric) for number in range(len(heads))]
        rows.append([f"`{row}`", *(figure(each.mean if each else None) for each in found)])
    return table([f"{metric} of {detector}, trained on", *heads], rows)


def training_sets(results: Results, scores: Scores) -> str:
    """What each row of the matrix is."""
    but = f" but {results.suite.holdout} held-out ones" if results.suite.holdout else ""
    rows = []
    for row in results.training_sets:
        match row.kind:
            case "real":
                what = f"all real training images{but} with their true boxes"
            case "references":
                chosen = ", chosen to differ from each other," if results.suite.reference_choice == "varied" else ""
                what = (
                    f"{results.suite.references} of the real training images{chosen} with their true boxes; generators are fitted on them"
                )
            case "subset":
                what = f"{row.images} of the real training images with their true boxes, the references among them"
            case "labelled":
                what = f"all real training images{but}, boxes by `{row.annotator}`"
            case "generated":
                what = f"sampled by `{row.generator}`, boxes by `{row.annotator}`"
            case "part":
                what = f"`{row.whole}` with the first {row.images} generated images"
            case "mix":
                what = " + ".join(f"`{part}`" for part in row.parts)
        trained = scores.trained_on(row.name)
        counts = [*map(round, trained), figure(trained[1] / trained[0], 1)] if trained else [UNKNOWN] * 3
        rows.append([f"`{row.name}`", what, *counts])
    return table(["training set", "what it is", "images", "boxes", "boxes an image"], rows, words=2)


def costs(results: Results, scores: Scores) -> str:
    """Seconds of each kind of stage, for every training set, and of every detector trained on it."""
    headings = cost_headings()
    kinds = [kind for kind in headings if any(cost.get(kind) for cost in results.costs.values())]
    trainings = [f"train {detector} on it" for detector in scores.detectors]
    people = {row.name: people_minutes(results, row) for row in results.training_sets}
    by_hand = ["people, minutes"] if any(each != UNKNOWN for each in people.values()) else []
    headers = ["training set", *by_hand, *(headings[kind] for kind in kinds), "in all, to make it", *trainings]
    rows = [
        [
            f"`{row}`",
            *([people.get(row, UNKNOWN)] if by_hand else []),
            *(figure(cost.get(kind) or None, 1) for kind in kinds),
            figure(sum(cost.values()) or None if scores.trained_on(row) else None, 1),
            *(figure(scores.training_seconds(row, detector), 1) for detector in scores.detectors),
        ]
        for row, cost in results.costs.items()
    ]
    return table(headers, rows)


def people_minutes(results: Results, row: TrainingSetInfo) -> str:
    """The minutes that people took for a generated set, a mean over its draws; a dash where no tool says so."""
    found = [each for each in results.labelled if (each.generator, each.annotator) == (row.generator, row.annotator) and each.timed]
    timed = [(each.people_seconds or 0.0, each.timed or 0, each.answered) for each in found]
    if not timed or row.kind != "generated":
        return UNKNOWN
    minutes = figure(sum(seconds for seconds, _, _ in timed) / 60 / len(timed), 1)
    known, answered = sum(count for _, count, _ in timed), sum(count for _, _, count in timed)
    return minutes if known >= answered else f"{minutes}, of {known} of {answered} images"


def labelled(results: Results) -> str:
    """What people were asked, and what they answered."""
    rows = [
        [
            f"`{each.generator} x {each.annotator}`",
            f"{each.draw.references} / {each.draw.generator}",
            f"{each.answered} of {each.asked}",
            *(UNKNOWN if value is None else str(value) for value in (each.empty, each.boxes)),
            figure(each.people_seconds / each.timed if each.people_seconds is not None and each.timed else None, 1),
            "waiting" if each.waiting else each.tools,
        ]
        for each in results.labelled
    ]
    headers = ["images of", "seeds of references / generator", "answered", "empty", "boxes", "seconds an image", "tool"]
    return table(headers, rows, words=2)


def agreement(results: Results) -> str:
    """Annotators' boxes on generated images against people's."""
    rows = [
        [
            f"`{each.annotator}`" + (", drawn before" if each.annotator == labelled.pre_labels else ""),
            f"`{labelled.generator}`, {labelled.draw.references} / {labelled.draw.generator}",
            str(each.images),
            figure(each.precision),
            figure(each.recall),
            *(str(value) for value in (each.kept, each.moved, each.removed, each.added)),
        ]
        for labelled in results.labelled
        for each in labelled.agreement
        if each.images is not None
    ]
    headers = ["annotator", "images of, seeds", "images", "precision", "recall", "kept", "moved", "removed", "added"]
    return table(headers, rows, words=2) if rows else ""


def judged(results: Results) -> str:
    """How good the boxes of annotators are, on the test images."""
    several = len({each.draw for each in results.judged}) > 1
    rows = [
        [
            f"`{each.annotator}`",
            each.generator or UNKNOWN,
            *([f"{each.draw.references} / {each.draw.generator}"] if several else []),
            figure(each.precision),
            figure(each.recall),
        ]
        for each in results.judged
    ]
    seeds = ["seeds of references / generator"] if several else []
    return table(["annotator", "of generator", *seeds, "precision", "recall"], rows, words=2)


def published(results: Results) -> str:
    """What others have published on the same test images."""
    scores = results.data.published if results.data else []
    rows = [[each.method, figure(each.AP), figure(each.AP50), figure(each.AP75), each.source] for each in scores]
    return table(["method", "AP", "AP50", "AP75", "stated by"], rows, words=1)


def licences(results: Results) -> str:
    """Every plugin that took part, and the data."""
    suite, data = results.suite, results.data
    rows = [["data source", *_origin(suite.data)]]
    for kind, entries in (("generator", suite.generators), ("annotator", suite.annotators), ("detector", suite.detectors)):
        rows += [[kind, *_origin(entry)] for entry in entries]
    if data:
        rows.insert(0, ["real images and boxes", UNKNOWN, data.source or UNKNOWN, data.license or "not stated"])
    return table(["what", "name", "from", "licence"], rows, words=4)


def _origin(entry: EntryInfo) -> list[str]:
    return [f"`{entry.name}`", f"{entry.distribution} {entry.release}, {entry.plugin} {entry.version}", entry.license]


def options(entries: Iterable[EntryInfo]) -> str:
    """Every option of some entries with its value."""
    rows = [[f"`{entry.name}`", f"`{name}`", f"`{value!r}`"] for entry in entries for name, value in entry.options.items()]
    return table(["entry", "option", "value"], rows, words=3)


def stages(results: Results) -> str:
    """Every stage with what it took."""
    on_gpu = any(stage.peak_gpu_memory for stage in results.stages)
    rows = [
        [
            stage.label,
            "from the store" if stage.cached else stage.state,
            figure(stage.seconds, 1),
            mebibytes(stage.peak_memory),
            *([mebibytes(stage.peak_gpu_memory)] if on_gpu else ()),
            f"`{stage.key[:10]}`",
        ]
        for stage in results.stages
    ]
    gpu = ["peak on the GPU, MiB"] if on_gpu else []
    return table(["stage", "state", "seconds", "peak of its worker until then, MiB", *gpu, "key"], rows, words=2)


def mebibytes(size: int | None) -> str:
    """A number of bytes in MiB, or a dash if it is 0 or unknown."""
    return figure(size / 2**20 if size else None, 0)


def metrics(results: Results) -> str:
    """All of COCO's figures, cell by cell."""
    rows = [[*_names(cell), *(figure(cell.metrics.get(metric)) for metric in METRICS)] for cell in results.cells]
    return table([*_CELL, *METRICS], rows, words=2)


def logged(results: Results) -> str:
    """What trainings logged of themselves."""
    rows = [
        [*_names(cell), f"{cell.training.images} images, {cell.training.boxes} boxes", _flat(cell.training.metrics)]
        for cell in results.cells
        if cell.training
    ]
    return table([*_CELL, "trained on", "logged by the plugin"], rows, words=len(_CELL) + 2)


_CELL = ("training set", "detector", "replicate", "seed", "draw")


def _names(cell: Cell) -> list[str]:
    seeds = [
        (name, value) for name, value in (("references", cell.draw.references), ("generator", cell.draw.generator)) if value is not None
    ]
    return [
        f"`{cell.training_set}`",
        cell.detector,
        str(cell.replicate),
        str(cell.seed),
        ", ".join(f"{name} {value}" for name, value in seeds) or UNKNOWN,
    ]


def _flat(logged: Mapping[str, Mapping[str, object]]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for metrics in logged.values() for name, value in metrics.items())


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
