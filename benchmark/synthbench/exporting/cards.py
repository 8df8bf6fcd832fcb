"""The cards of an export: what it is, how it was made, under which licences, and how to use it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from synthbench.contract.types import ImageSet
from synthbench.exporting.choosing import Choice
from synthbench.exporting.detector import Onnx
from synthbench.reporting.harmless import harmless, inline
from synthbench.results.model import EntryInfo, Results
from synthbench.text import named


def data_card(results: Results, choice: Choice, images: ImageSet, left_out: int = 0, other: str = "") -> str:
    """The README.md of a generated set.

    images: those that are in it. left_out: how many were sampled and have no labels. other: what the exported detector learned from, if
    it is not this set.
    """
    results = harmless(results)
    row = next(each for each in results.training_sets if each.name == inline(choice.cell.training_set))
    made = [entry for entry in (*results.suite.generators, *results.suite.annotators) if entry.name in (row.generator, row.annotator)]
    boxes = sum(len(picture.boxes or ()) for picture in images)
    classes = ", ".join(inline(named(name)) for name in images.categories)
    draw = choice.cell.draw
    others = f" {left_out} more were sampled and left out: rejected, or labelled by nobody." if left_out else ""
    return "\n".join(
        [
            f"# Generated images: {row.name}",
            "",
            f"{len(images)} generated images with {boxes} boxes of {classes}. Unless the annotator below",
            f"is a person, nobody looked at them.{others} They are no photographs: test on photographs only.",
            "",
            f"Chosen {choice.why}: detectors of {inline(choice.cell.detector)} trained on it reach AP {choice.mean_ap:.3f} on the test",
            f"images ({'a mean over ' if choice.replicates > 1 else ''}{choice.replicates} replicate{'s' * (choice.replicates > 1)}).",
            "",
            *([f"{inline(choice.rival)}, made without a generative model, reached a higher AP.", ""] if choice.rival else []),
            *([f"The detector that was exported with it was trained on {inline(other)}.", ""] if other else []),
            "## Use it",
            "",
            "- COCO: `train.json` and `images/`.",
            "- YOLO (ultralytics): `data.yaml`, `images/`, `labels/`. Put photographs of yours at `val` in `data.yaml` first.",
            "",
            "## How it was made",
            "",
            f"By synthbench {results.environment.synthbench}, suite `{results.suite.name}`, with the seeds {draw.references} (of the",
            f"{results.suite.references} references) and {draw.generator} (of the generator).",
            "",
            *(line for entry in made for line in entry_lines(entry)),
            "## Licences",
            "",
            *license_lines(results, made),
            "",
        ]
    )


def entry_lines(entry: EntryInfo) -> Iterator[str]:
    """A plugin with its options."""
    yield f"`{entry.name}`: plugin {entry.plugin} {entry.version} of {entry.distribution} {entry.release}, with"
    yield from ("", "```json", json.dumps(entry.options, indent=1), "```", "")


def license_lines(results: Results, entries: Sequence[EntryInfo]) -> Iterator[str]:
    """What is known of licences, and that it is not all."""
    if results.data:
        source = f" ({results.data.source})" if results.data.source else ""
        yield f"- The real images that references were taken from: {results.data.license or 'none stated'}{source}."
    for entry in entries:
        yield f"- The code of {entry.plugin}: {entry.license}."
        for option, told in entry.trained_on.items():
            yield f"- Starting weights of `{entry.name}` ({option}): trained on {told or 'data that nobody stated'}."
        for note in notes_of(results, entry):
            yield f"- {note}"
    yield "- Licences of weights from a hub or an address are not in this list: look them up where the weights are from."


def notes_of(results: Results, entry: EntryInfo) -> list[str]:
    """What a plugin noted about a licence while its stages ran."""
    notes = [note for stage in results.stages if entry.name in stage.label for note in stage.notes if "licence" in note.lower()]
    return list(dict.fromkeys(notes))


def detector_card(results: Results, choice: Choice, entry: EntryInfo, onnx: Onnx, files: Sequence[str]) -> str:
    """The README.md of a detector."""
    results = harmless(results)
    cell = choice.cell
    training = cell.training
    ap = ", ".join(f"{name} {cell.metrics[name]:.3f}" for name in ("AP", "AP50", "AP75") if name in cell.metrics)
    used = f"{training.images} images with {training.boxes} boxes" if training else "images that were not counted"
    lines = [
        f"# Detector: {inline(entry.name)}, trained on {inline(cell.training_set)}",
        "",
        f"Chosen {choice.why}. Trained on {used} by {entry.plugin} {entry.version} of {entry.distribution} {entry.release}, seed",
        f"{cell.seed}. This training's figures on the {results.data.test.images if results.data else '?'} test images of suite",
        f"`{results.suite.name}`: {ap}. It was chosen on these images, so expect a little less on others.",
        "",
    ]
    if onnx.written:
        lines += [
            "## Use it without synthbench",
            "",
            "```bash",
            "pip install numpy pillow onnxruntime",
            "python detect.py --draw drawn photo.jpg",
            "```",
            "",
            "`detector.onnx` takes `image`, float32 (1, 3, H, W), RGB from 0 to 1, and gives `boxes` (x1, y1, x2, y2 in pixels of that",
            "input), `scores` and `labels`; `detector.json` says how a photograph becomes that input, and `detect.py` does it.",
            "",
            f"Checked with onnxruntime: {onnx.checked}." if onnx.checked else f"The file was {onnx.problem}.",
            "",
        ]
    else:
        lines += [f"There is no ONNX file: {onnx.problem}.", ""]
    return "\n".join(
        [
            *lines,
            "## Use it with its own library",
            "",
            f"`own/` has what the plugin wrote: {', '.join(f'`{file}`' for file in files)}. Options:",
            "",
            *list(entry_lines(entry))[2:],
            "## Licences",
            "",
            *license_lines(results, [entry]),
            "",
        ]
    )
