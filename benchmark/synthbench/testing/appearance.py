"""Checks that images and boxes match the plugin's input: squares of one colour on noise.

Not detected: wrong boxes, colours and labels if a generator's images look unlike its references or an annotator finds
nothing; these checks are then skipped. Boxes that are off by at most two pixels pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from synthbench.testing.annotators import ANNOTATORS
from synthbench.testing.bench import Bench
from synthbench.testing.checks import Failure, Skip
from synthbench.testing.generators import GENERATORS, locate
from synthbench.testing.subject import Answer
from synthbench.testing.toys import IN_TWO

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from synthbench.contract.types import ImageSet
    from synthbench.testing.objects import Scene

SURE = 0.5  # lowest score of the annotator's boxes that are checked
LEAST_RIGHT = 0.6  # share of correct labels
LEAST_BOXES = 3  # boxes of a clear colour that a check of labels needs
CLEAR = 0.2  # least difference between a box's likeness to the two categories; about 1 for the references' own boxes
NOISE = 40.0  # largest difference between red and blue in noise, of 255, after smoothing
SWAPPED = 0.15  # colours are swapped if images reach this share of the other references' redness


def boxes_fit(bench: Bench) -> None:
    """Checks that boxes contain what the references' boxes contain, and that no such object lies outside of them."""
    stages: dict[str, Callable[[], list[Scene]]] = {}
    if bench.found.kind == "annotator":
        # Boxes with low scores may be wrong.
        sure = [{"boxes": each["boxes"][each["scores"] >= SURE]} for each in ANNOTATORS.ask(bench)]
        stages["annotate"] = partial(scenes_of, bench, pictures(bench, ANNOTATORS.usual), sure)
    else:
        images = [each for each in GENERATORS.ask(bench) if "boxes" in each]
        stages["sample"] = partial(scenes_of, bench, [each["pixels"] for each in images], images)
        if hasattr(bench.found.cls, "locate"):
            stages["locate"] = partial(scenes_of, bench, pictures(bench, GENERATORS.usual), locate(bench, GENERATORS.usual))
    skipped = []
    for stage, scenes in stages.items():
        try:
            check_boxes(bench, stage, scenes())
        except Skip as skip:
            skipped.append(str(skip))
    if len(skipped) == len(stages):
        raise Skip("; ".join(skipped))


def check_boxes(bench: Bench, stage: str, scenes: list[Scene]) -> None:
    """Raises Failure if another reading of a stage's boxes fits better or an object has no box; Skip if this cannot be decided."""
    import numpy as np

    from synthbench.testing.objects import RESIDUE, misread, unlabelled

    if not any(len(scene.boxes) for scene in scenes):
        raise Skip(f"{stage} returns no boxes")
    try:
        reading = misread(scenes)
    except ValueError as error:
        if note := bench.unsound_boxes(stage):
            raise Failure(f"{stage}: {note}", bench.method(stage)) from None
        raise Skip(f"{stage}: {error}, so their correct positions are unknown") from None
    if reading:
        raise Failure(
            f"its boxes fit the images best when read as: {reading}. Boxes are x1, y1, x2, y2 in pixels of the image",
            bench.method(stage),
        )
    inside = [
        float(scene.likeness[y1:y2, x1:x2].mean())
        for scene in scenes
        for x1, y1, x2, y2 in np.rint(scene.boxes).clip(0).astype(int)
        if scene.likeness[y1:y2, x1:x2].size
    ]
    for number, scene in enumerate(scenes):
        if stage != "annotate" and (where := unlabelled(scene, RESIDUE * float(np.median(inside)))):
            raise Failure(f"image {number} shows an object around (x, y) = {where} that has no box", bench.method(stage))


def pictures(bench: Bench, data: str) -> list[NDArray[Any]]:
    """The pixels of toy pictures."""
    return [picture.pixels() for picture in references(bench, data)]


def references(bench: Bench, data: str) -> ImageSet:
    """Toy pictures with their boxes."""
    from synthbench.storage.views import read_view

    return read_view(bench.store, bench.pictures(data))


def scenes_of(bench: Bench, pixels: list[NDArray[Any]], answer: Answer) -> list[Scene]:
    """Images with their boxes and the likeness of each pixel to the references' objects."""
    import numpy as np

    from synthbench.testing.objects import Likeness, Scene

    likeness = Likeness.of(references(bench, "few"), 0)
    return [
        Scene(likeness.map(image), each["boxes"][np.isfinite(each["boxes"]).all(1)].astype(np.float64))
        for image, each in zip(pixels, answer, strict=True)
    ]


def colours_are_kept(bench: Bench) -> None:
    """Checks that red references do not give blue images and blue ones red images."""
    sampled, red, blue = (
        redness([each["pixels"] for each in GENERATORS.ask(bench)] if data is None else pictures(bench, data))
        for data in (None, "few", "blue")
    )
    other = redness([each["pixels"] for each in GENERATORS.ask(bench, "blue")])
    if sampled < SWAPPED * blue and other > SWAPPED * red:
        raise Failure("red references give blue images and blue ones red: images are RGB, OpenCV's are BGR", bench.method("sample"))


def redness(images: list[NDArray[Any]]) -> float:
    """The mean of red minus blue over images, counting only differences larger than those of noise."""
    import numpy as np

    from synthbench.testing.objects import smooth

    differences = [smooth(image[..., 0].astype(np.float64) - image[..., 2]) for image in images]
    return float(np.mean([np.maximum(each - NOISE, 0).mean() - np.maximum(-each - NOISE, 0).mean() for each in differences]))


def labels_fit(bench: Bench) -> None:
    """Fits a generator on red and blue squares and checks that boxes have the label of their colour."""
    data = GENERATORS.usual + IN_TWO
    try:
        images = GENERATORS.ask(bench, data)
    except Failure as failure:
        if not failure.trace:  # a SynthbenchError
            raise Skip(f"it does not support two categories: {failure.reason}") from None
        raise
    right = list(right_labels(references(bench, data), images))
    if len(right) < LEAST_BOXES:
        raise Skip("its images show too few red and blue squares with boxes to check labels")
    if (share := sum(right) / len(right)) < LEAST_RIGHT:
        raise Failure(
            f"{share:.0%} of the labels match the colour in their box, with references of red and blue squares; labels are positions in "
            "`request.categories`, the categories of the references",
            bench.method("sample"),
        )


def right_labels(shown: ImageSet, images: Answer) -> Iterator[bool]:
    """For each box whose content clearly looks like one of two categories, whether it has that label."""
    import numpy as np

    from synthbench.testing.objects import Likeness

    likenesses = [Likeness.of(shown, label) for label in range(len(shown.categories))]
    for each in images:
        maps = np.stack([likeness.map(each["pixels"]) for likeness in likenesses])
        for (x1, y1, x2, y2), label in zip(np.rint(each.get("boxes", [])).astype(int), each.get("labels", []), strict=True):
            inside = maps[:, max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
            if inside.size:
                first, second = inside.mean((1, 2))
                if abs(first - second) > CLEAR:
                    yield bool(label == (0 if first > second else 1))
