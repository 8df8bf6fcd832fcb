"""Checks of whether images and boxes agree with what the plugin was shown: squares of one colour on noise.

What cannot be told: whether boxes, colours and labels are right where a generator makes images unlike its references, or an
annotator finds nothing; these checks are skipped then. Boxes that are off by two pixels or fewer pass.
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

SURE = 0.5  # the score of an annotator's boxes that count
LEAST_RIGHT = 0.6  # share of the labels
LEAST_BOXES = 3  # boxes of a clear colour by which labels can be told
CLEAR = 0.2  # by how much more a box must look like one category than like the other; the references' own differ by about 1
NOISE = 40.0  # steps between red and blue, after smoothing
SWAPPED = 0.15  # of the references' colour that images must have instead of it


def boxes_fit(bench: Bench) -> None:
    """Looks whether what is in the boxes looks like what was in the references' boxes, and whether something else does."""
    stages: dict[str, Callable[[], list[Scene]]] = {}
    if bench.found.kind == "annotator":
        sure = [{"boxes": each["boxes"][each["scores"] >= SURE]} for each in ANNOTATORS.ask(bench)]  # it may pass on wrong ones
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
    """Raises Failure where boxes of a stage are read better in another way, or leave objects out; Skip where nobody can tell."""
    import numpy as np

    from synthbench.testing.objects import RESIDUE, misread, unlabelled

    if not any(len(scene.boxes) for scene in scenes):
        raise Skip(f"{stage} gives no boxes")
    try:
        meant = misread(scenes)
    except ValueError as error:
        raise Skip(f"{stage}: {error}; nobody can tell where they should be") from None
    if meant:
        raise Failure(
            f"its boxes fit what the images show best when read as: {meant}. Boxes are x1, y1, x2, y2 in pixels of the image",
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
    """Images with their boxes, and how much each pixel looks like the objects of the references."""
    import numpy as np

    from synthbench.testing.objects import Likeness, Scene

    likeness = Likeness.of(references(bench, "few"), 0)
    return [
        Scene(likeness.map(image), each["boxes"][np.isfinite(each["boxes"]).all(1)].astype(np.float64))
        for image, each in zip(pixels, answer, strict=True)
    ]


def colours_are_kept(bench: Bench) -> None:
    """Looks whether red references give blue images, and blue ones red images."""
    wanted, red, blue = (
        redness([each["pixels"] for each in GENERATORS.ask(bench)] if data is None else pictures(bench, data))
        for data in (None, "few", "blue")
    )
    other = redness([each["pixels"] for each in GENERATORS.ask(bench, "blue")])
    if wanted < SWAPPED * blue and other > SWAPPED * red:
        raise Failure("red references give blue images and blue ones red: images are RGB, and OpenCV's are BGR", bench.method("sample"))


def redness(images: list[NDArray[Any]]) -> float:
    """How much more of images is red than blue, beyond what noise is."""
    import numpy as np

    from synthbench.testing.objects import smooth

    differences = [smooth(image[..., 0].astype(np.float64) - image[..., 2]) for image in images]
    return float(np.mean([np.maximum(each - NOISE, 0).mean() - np.maximum(-each - NOISE, 0).mean() for each in differences]))


def labels_fit(bench: Bench) -> None:
    """Fits a generator on red and blue squares, and looks whether the boxes of the red ones say so."""
    data = GENERATORS.usual + IN_TWO
    try:
        images = GENERATORS.ask(bench, data)
    except Failure as failure:
        if not failure.trace:  # a SynthbenchError
            raise Skip(f"it refuses two categories: {failure.reason}") from None
        raise
    right = list(right_labels(references(bench, data), images))
    if len(right) < LEAST_BOXES:
        raise Skip("its images show no red and blue squares with boxes, so nobody can tell whether their labels are right")
    if (share := sum(right) / len(right)) < LEAST_RIGHT:
        raise Failure(
            f"{share:.0%} of the labels fit the colour in their box, with references of red and blue squares; labels are positions in "
            "`request.categories`, which are those of the references",
            bench.method("sample"),
        )


def right_labels(shown: ImageSet, images: Answer) -> Iterator[bool]:
    """For each box whose content looks clearly like one of two categories, whether its label says so."""
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
