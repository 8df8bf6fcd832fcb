"""The report as Markdown, from the dictionary of `synthbench.results.collect.collect` alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthbench.report import tables
from synthbench.report.answer import answer, notice
from synthbench.report.scores import Scores, joined
from synthbench.report.words import COST, GLOSSARY, JUDGED, PAPER

TRACE_LINES = 12
NAMED = 6  # cells that a failure cost; of more the rest is counted


def render(held: Mapping[str, Any], file: str) -> str:
    """The whole report; `file` is the name of the JSON file that lies beside it."""
    scores = Scores(held)
    suite = held["suite"]
    ranges = "; black: from the lowest to the highest seed" if scores.seeds > 1 else ""
    parts = [
        f"# {' '.join(suite['title'].split()) or suite['name']}",
        notice(held),
        suite["about"].strip(),
        "## The answer",
        *answer(held),
        picture(held, "bars", f"AP of every training set and detector; dashed: each detector's level with real images{ranges}."),
        *matrices(scores),
        *words(held, scores),
        *samples(held),
        *predictions(held),
        *costs(held, scores),
        *annotators(held),
        *failures(held),
        *notes(held),
        *origin(held, file),
        *details(held),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def picture(held: Mapping[str, Any], name: str, caption: str) -> str:
    """A picture with a line below it, or nothing where it was not drawn."""
    drawn = held.get("pictures", {}).get(name)
    return f"![{caption}]({drawn['file']})\n\n*{caption}*" if drawn else ""


def matrices(scores: Scores) -> list[str]:
    """AP and AP50 of everything, and the paper's figure."""
    several = "; ± is the standard deviation over seeds" if scores.seeds > 1 else ""
    compared = "In brackets: the difference to the same detector trained on `real`"
    if "real" not in scores.kinds:
        compared = "There is no row `real` to compare with"
    return [
        "## Every training set and detector",
        f"{compared}{several}.",
        tables.matrix(scores, "AP"),
        *([PAPER] if scores.rows("generated", "mix") else []),
        tables.matrix(scores, "AP50"),
    ]


def words(held: Mapping[str, Any], scores: Scores) -> list[str]:
    """What the words mean, and what each training set is."""
    return ["## What the words mean", GLOSSARY.strip(), tables.training_sets(held, scores)]


def samples(held: Mapping[str, Any]) -> list[str]:
    """Training images with their boxes."""
    caption = "Training images with the boxes that detectors learn from: the references, then each generated training set."
    shown = picture(held, "samples", caption)
    return ["## What the detectors learn from", shown] if shown else []


def predictions(held: Mapping[str, Any]) -> list[str]:
    """Test images with what detectors find in them."""
    drawn = held.get("pictures", {}).get("predictions")
    if not drawn:
        return []
    score = f"a score of at least {drawn['threshold']}"
    caption = f"Test images, taken at even steps through the set: the true boxes, then the boxes with {score} of each detector named."
    return ["## What the detectors find", picture(held, "predictions", caption)]


def costs(held: Mapping[str, Any], scores: Scores) -> list[str]:
    """AP against seconds."""
    return [
        "## What it cost",
        COST,
        picture(held, "costs", "AP against the seconds it took to have a training set and to train on it; up and to the left is better."),
        tables.costs(held, scores),
    ]


def annotators(held: Mapping[str, Any]) -> list[str]:
    """How good the machine's boxes are."""
    if not held["judged"]:
        return []
    known = {each["annotator"] for each in held["judged"]}
    others = [f"`{entry['name']}`" for entry in held["suite"]["annotators"] if entry["name"] not in known]
    missing = f"Not judged: {joined(others)}, whose boxes come with generated images only." if others else ""
    return ["## How good the automatic boxes are", JUDGED, tables.judged(held), missing]


def failures(held: Mapping[str, Any]) -> list[str]:
    """What broke, with its last lines."""
    told = []
    for each in held["failures"]:
        cells = each["cells"][:NAMED] + ([f"{rest} more"] if (rest := len(each["cells"]) - NAMED) > 0 else [])
        lost = f"Cells it cost: {joined(cells)}." if cells else "It cost no cell."
        trace = "\n".join(each["trace"].rstrip().splitlines()[-TRACE_LINES:])
        told += [f"### {each['label']}", fenced(each["error"]), lost, fold("Its last lines", fenced(trace)) if trace else ""]
    return ["## Failures", "The next run of the same command tries these stages again.", *told] if told else []


def notes(held: Mapping[str, Any]) -> list[str]:
    """What stages wanted the reader to know; the same words of several stages are said once."""
    said: dict[str, list[str]] = {}
    for stage in held["stages"]:
        for note in stage.get("notes", ()):
            said.setdefault(note, []).append(stage["label"])
    lines = [f"- {labels[0]}{f' and {len(labels) - 1} more' if len(labels) > 1 else ''}: {note}" for note, labels in said.items()]
    return ["## Notes", "\n".join(lines)] if lines else []


def origin(held: Mapping[str, Any], file: str) -> list[str]:
    """Where all this comes from, and how to make it again."""
    suite, machine, data = held["suite"], held["environment"], held["data"]
    lines = [f"Suite: `{suite['file']}`; everything said here is in [{file}]({file})."]
    if data:
        counts = [f"{count['images']} {split} images with {count['boxes']} boxes" for split, count in data["counts"].items()]
        lines.append(f"Data: {joined(counts)}.")
    changed = ", with changes that are in no commit" if machine["commit"].endswith("+") else ""
    commit = f"commit `{machine['commit'].rstrip('+')}`{changed}" if machine["commit"] else "installed, not from a checkout"
    own = [
        f"`{name}` in an environment of its own: Python {its['python']}{listed(its['packages'])}."
        for name, its in machine.get("own_environments", {}).items()  # results of the first releases have none
    ]
    device = f"device `{machine['device']}`, workers: {machine['workers']}"
    lines += [
        f"Seeds of the detectors: {joined([str(seed) for seed in suite['seeds']])}; the generators and annotators use the first.",
        f"Versions: synthbench {machine['synthbench']} ({commit}), Python {machine['python']}{listed(machine['packages'])}.",
        *own,
        f"Machine: {machine['platform']}, {machine['processors']} processors, {device}; "
        f"the last run took {tables.duration(machine['wall_seconds'])}.",
    ]
    return [
        "## Made with",
        "\n".join(f"- {line}" for line in lines),
        tables.licences(held),
        f"To make it again (stages that are in the store are taken from there):\n\n{fenced(held['command'], 'sh')}",
    ]


def listed(packages: Mapping[str, str]) -> str:
    """`, numpy 2.4.6, torch 2.15.0`."""
    return "".join(f", {name} {release}" for name, release in packages.items())


def details(held: Mapping[str, Any]) -> list[str]:
    """Long tables, folded away."""
    suite = held["suite"]
    entries = [suite["data"], *suite["generators"], *suite["annotators"], *suite["detectors"]]
    return [
        fold("All figures of every cell", tables.metrics(held)),
        fold("What the trainings recorded", tables.recorded(held)),
        fold("Options of every plugin", tables.options(entries)),
        fold("All stages", tables.stages(held)),
    ]


def fold(title: str, content: str) -> str:
    """Content that opens on a click."""
    return f"<details>\n<summary>{title}</summary>\n\n{content}\n\n</details>"


def fenced(text: str, language: str = "") -> str:
    """Text as it is, whatever marks it holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"
