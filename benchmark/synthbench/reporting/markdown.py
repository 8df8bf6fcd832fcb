"""The report as Markdown, from results alone."""

from __future__ import annotations

from collections.abc import Mapping

from synthbench.reporting import tables
from synthbench.reporting.answer import answer, notice
from synthbench.reporting.attribution import attribution
from synthbench.reporting.decision import decision, simpler
from synthbench.reporting.fairness import fairness
from synthbench.reporting.harmless import harmless
from synthbench.reporting.marks import fold, picture
from synthbench.reporting.scores import Scores, listed
from synthbench.reporting.words import AGREEMENT, BY_CLASS, COST, GLOSSARY, JUDGED, LABELLED, PAPER, PUBLISHED, WAITING, after
from synthbench.results.model import Results

TRACE_LINES = 12
NAMED = 6  # cells that a failure cost; of more the rest is counted


def render(results: Results, file: str) -> str:
    """The whole report; `file` is the name of the JSON file beside it."""
    results = harmless(results)
    scores = Scores(results)
    suite = results.suite
    parts = [
        f"# {' '.join(suite.title.split()) or suite.name}",
        notice(results),
        suite.about.strip(),
        "## The answer",
        *answer(results, scores),
        *decision(results, scores),
        *simpler(scores),
        *attribution(results, scores),
        *matrices(results, scores),
        *by_class(results, scores),
        *words(results, scores),
        *samples(results),
        *predictions(results),
        *fairness(results, scores),
        *costs(results, scores),
        *annotators(results),
        *people(results),
        *failures(results),
        *notes(results),
        *origin(results, file),
        *details(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def matrices(results: Results, scores: Scores) -> list[str]:
    """AP and AP50 of everything, and the paper's figure."""
    return [
        "## Every training set and detector",
        "AP, the mean over replicates" + (" with its 95 % interval." if scores.has_intervals else "."),
        tables.matrix(scores, "AP"),
        picture(results, "matrix", "AP of every training set and detector; lighter is higher."),
        *([PAPER] if scores.rows("generated", "mix") else []),
        *([PUBLISHED, tables.published(results)] if results.data and results.data.published else []),
        tables.matrix(scores, "AP50"),
    ]


def by_class(results: Results, scores: Scores) -> list[str]:
    """AP of each category, where there are several."""
    if not any(cell.classes for cell in results.cells):
        return []
    trained = [detector for detector in scores.detectors if any(cell.classes for cell in results.cells if cell.detector == detector)]
    return ["## Each class", BY_CLASS, *(tables.by_class(results, scores, detector) for detector in trained)]


def words(results: Results, scores: Scores) -> list[str]:
    """What the words mean, and what each training set is."""
    return ["## What the words mean", GLOSSARY.strip(), tables.training_sets(results, scores)]


def samples(results: Results) -> list[str]:
    """Training images with their boxes."""
    caption = "Training images with the boxes that detectors learn from: the references, then each generated training set."
    shown = picture(results, "samples", caption)
    return ["## What the detectors learn from", shown] if shown else []


def predictions(results: Results) -> list[str]:
    """Test images with what detectors find in them."""
    drawn = results.pictures.get("predictions")
    if not drawn:
        return []
    score = f"a score of at least {drawn['threshold']}"
    caption = f"Test images, taken at even steps through the set: the true boxes, then the boxes with {score} of each detector named."
    opposed = f"Test images on which training on one set does much better than training on the other, with {score}; the true boxes above."
    return ["## What the detectors find", picture(results, "predictions", caption), picture(results, "opposed", opposed)]


def costs(results: Results, scores: Scores) -> list[str]:
    """AP against seconds."""
    caption = "AP against the seconds it took to make a training set and to train on it; up and to the left is better."
    return ["## What it cost", COST, picture(results, "costs", caption), tables.costs(results, scores)]


def annotators(results: Results) -> list[str]:
    """How good the automatic boxes are."""
    if not results.judged:
        return []
    known = {each.annotator for each in results.judged}
    others = [f"`{entry.name}`" for entry in results.suite.annotators if entry.name not in known]
    missing = f"Not evaluated: {listed(others)}, whose boxes exist on generated images only." if others else ""
    return ["## How good the automatic boxes are", JUDGED, tables.judged(results), missing]


def people(results: Results) -> list[str]:
    """What people label, what they answered, and how good annotators are where people looked."""
    if not results.labelled:
        return []
    missing = [f"- `{each.folder}`: {each.asked - each.answered} of {each.asked} images" for each in results.labelled if each.waiting]
    waiting = [WAITING, "\n".join(missing)] if missing else []
    agreed = tables.agreement(results)
    return ["## Labels by people", *waiting, LABELLED, tables.labelled(results), *([AGREEMENT, agreed] if agreed else [])]


def failures(results: Results) -> list[str]:
    """What broke, with its last lines."""
    parts = []
    for failure in results.failures:
        cells = failure.cells[:NAMED] + ([f"{rest} more"] if (rest := len(failure.cells) - NAMED) > 0 else [])
        lost = f"Cells without a score because of it: {listed(cells)}." if cells else "Every cell has its score all the same."
        trace = "\n".join(failure.trace.rstrip().splitlines()[-TRACE_LINES:])
        parts += [f"### {failure.label}", fenced(failure.error), lost, fold("Its last lines", fenced(trace)) if trace else ""]
    return ["## Failures", after(results.failures), *parts] if parts else []


def notes(results: Results) -> list[str]:
    """What stages wanted the reader to know; the same words of several stages appear once."""
    labels: dict[str, list[str]] = {}
    for stage in results.stages:
        for note in stage.notes:
            labels.setdefault(note, []).append(stage.label)
    lines = [f"- {first}{f' and {len(rest)} more' if rest else ''}: {note}" for note, (first, *rest) in labels.items()]
    return ["## Notes", "\n".join(lines)] if lines else []


def origin(results: Results, file: str) -> list[str]:
    """Where all this comes from, and how to make it again."""
    suite, machine, data = results.suite, results.environment, results.data
    lines = [f"Suite: `{suite.file}`; every figure of this page is in [{file}]({file})."]
    if data:
        counts = [
            f"{count.images} {split} images with {count.boxes} boxes" for split, count in (("train", data.train), ("test", data.test))
        ]
        lines.append(f"Data: {listed(counts)}.")
    changed = ", with changes that are in no commit" if machine.commit.endswith("+") else ""
    commit = f"commit `{machine.commit.rstrip('+')}`{changed}" if machine.commit else "installed, not from a checkout"
    own = [
        f"`{name}` in an environment of its own: Python {its.python}{versions(its.packages)}."
        for name, its in machine.own_environments.items()
    ]
    workers = f", workers: {machine.workers}" if machine.workers else ""
    took = f"; the last run took {tables.duration(machine.wall_seconds)}" if machine.wall_seconds is not None else ""
    lines += [
        f"Seeds: references {listed_numbers(suite.seeds.references)}; generators and annotators "
        f"{listed_numbers(suite.seeds.generators)}; detectors {listed_numbers(suite.seeds.detectors)}.",
        f"Versions: synthbench {machine.synthbench} ({commit}), Python {machine.python}{versions(machine.packages)}.",
        *own,
        f"Machine: {machine.platform}, {machine.processors} processors, computed on {machine.device}{workers}{took}.",
    ]
    again = f"To make it again (stages that are in the store are taken from there):\n\n{fenced(results.command, 'sh')}"
    return ["## Made with", "\n".join(f"- {line}" for line in lines), tables.licences(results), again if results.command else ""]


def listed_numbers(numbers: tuple[int, ...]) -> str:
    """`0, 1 and 2`."""
    return listed([str(number) for number in numbers])


def versions(packages: Mapping[str, str]) -> str:
    """`, numpy 2.4.6, torch 2.15.0`."""
    return "".join(f", {name} {release}" for name, release in packages.items())


def details(results: Results) -> list[str]:
    """Long tables, folded away."""
    suite = results.suite
    entries = [suite.data, *suite.generators, *suite.annotators, *suite.detectors]
    return [
        fold("All figures of every cell", tables.metrics(results)),
        fold("What each training was given, and what it logged", tables.logged(results)),
        fold("Options of every plugin", tables.options(entries)),
        fold("All stages", tables.stages(results)),
    ]


def fenced(text: str, language: str = "") -> str:
    """Text as it is, whatever marks it contains."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"
