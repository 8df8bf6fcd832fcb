"""Checks of detectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.contract.types import Boxes
from synthbench.testing.bench import Bench, Views
from synthbench.testing.checks import Failure, Skip
from synthbench.testing.subject import Answer, Subject, of_boxes
from synthbench.testing.toys import OF_SECOND

if TYPE_CHECKING:
    from synthbench.contract.types import ImageSet

LEARNS = "learns"
LEAST_AP, LEAST_GAIN = 0.3, 0.2
LEARNS_PROMISE = f"it finds what it was shown (AP of {LEAST_AP} or more on its training pictures), and {LEAST_GAIN} less after wrong boxes"
LEAST_FOUND = 8  # squares by whose labels one can tell
LEAST_RIGHT = 0.5  # share of their labels
MANY_OF_SECOND = "many" + OF_SECOND


class Detectors(Subject):
    """They train, and predict on the pictures they were trained with."""

    stage = "train"

    def views(self, bench: Bench, data: str) -> Views:
        """The training set."""
        return {"data": [bench.pictures(data)]}

    def use(self, bench: Bench, folder: Path, data: str, seed: int, options: Mapping[str, object] | None = None) -> Answer:
        """The predicted boxes."""
        from synthbench.storage.boxes import read_boxes
        from synthbench.storage.views import BOXES

        done = bench.run("predict", {"images": [bench.pictures(data)]}, seed=seed, options=options, fitted=str(folder))
        return of_boxes(read_boxes(done.folder / BOXES))


DETECTORS = Detectors()


def learns(bench: Bench) -> None:
    """Scores it on the pictures it has seen, beside one that was shown wrong boxes: it stands for an untrained one."""
    data = many(bench)
    misled = DETECTORS.use(bench, DETECTORS.learn(bench, data.replace("many", "displaced")).folder, data, 0)
    right, wrong = (average_precision(truth(bench, data), answer) for answer in (DETECTORS.ask(bench, data), misled))
    if right < LEAST_AP or right - wrong < LEAST_GAIN:
        raise Failure(
            f"AP on the pictures it was trained with is {right:.2f}, and {wrong:.2f} after a training with wrong boxes; wanted are "
            f"{LEAST_AP} and {LEAST_GAIN} more than that. `smoke_options` may have to let it learn longer",
            bench.method("train"),
        )


def many(bench: Bench) -> str:
    """The many pictures that it learns from: with two categories where it learns these well enough, else with one."""

    def choose() -> str:
        answer = of_second_category(bench)
        well = not isinstance(answer, Failure) and average_precision(truth(bench, MANY_OF_SECOND), answer) >= LEAST_AP
        return MANY_OF_SECOND if well else "many"

    return bench.once("many", choose)


def of_second_category(bench: Bench) -> Answer | Failure:
    """What it finds when all objects are of the second of two categories, or how it fails then."""

    def ask() -> Answer | Failure:
        try:
            return DETECTORS.ask(bench, MANY_OF_SECOND)
        except Failure as failure:
            return failure

    answer: Answer | Failure = bench.once("of second category", lambda: [ask()])[0]
    return answer


def tells_categories_apart(bench: Bench) -> None:
    """Looks at the labels of what it finds when all objects are of the second of two categories."""
    import numpy as np

    if LEARNS in bench.failures:
        raise Skip.after(LEARNS)
    answer = of_second_category(bench)
    if isinstance(answer, Failure):
        if answer.trace:
            raise answer
        raise Skip(f"it refuses two categories: {answer.reason}")  # with a SynthbenchError
    right = labels_of_found(truth(bench, MANY_OF_SECOND), answer)
    if len(right) < LEAST_FOUND:
        raise Skip(f"it finds {len(right)} of the objects, too few to tell whether their labels are right")
    if np.mean(right) < LEAST_RIGHT:
        raise Failure(
            f"{np.mean(right):.0%} of the labels are right where all objects are of the second of two categories. Labels are positions in "
            "`data.categories`; a detector of a single category refuses more of them with a SynthbenchError",
            bench.method("predict"),
        )


def truth(bench: Bench, data: str) -> ImageSet:
    """Toy pictures with their boxes."""
    from synthbench.storage.views import read_view

    return read_view(bench.store, bench.pictures(data))


def average_precision(images: ImageSet, answer: Answer) -> float:
    """COCO's AP of an answer, whatever its labels."""
    import numpy as np

    from synthbench.metrics import evaluate

    true = [Boxes.of((picture.boxes or Boxes.none()).xyxy) for picture in images]
    predicted = [Boxes.of(each["boxes"], scores=np.nan_to_num(each["scores"])) for each in answer]
    return float(evaluate(true, predicted, 1)["AP"] or 0.0)


def labels_of_found(images: ImageSet, answer: Answer) -> list[bool]:
    """For each object that was found, whether the label of the surest box on it (IoU of 0.5 or more) is right."""
    from synthbench.metrics import iou_matrix

    right = []
    for picture, each in zip(images, answer, strict=True):
        boxes = picture.boxes or Boxes.none()
        overlaps = iou_matrix(boxes.xyxy, each["boxes"])
        for label, overlap in zip(boxes.labels, overlaps, strict=True):
            if (overlap >= 0.5).any():
                surest = max((overlap >= 0.5).nonzero()[0], key=lambda number: each["scores"][number])
                right.append(bool(each["labels"][surest] == label))
    return right


def odd_pictures(bench: Bench) -> None:
    """Predicts on, and trains with, files and contents of every sort, and the same as plain files."""
    fitted = DETECTORS.learn(bench, data := many(bench)).folder
    odd, plain = (DETECTORS.use(bench, fitted, data.replace("many", files), 0) for files in ("odd", "plain"))
    when = "with turned, 16-bit, CMYK and other files"
    DETECTORS.same(bench, odd, plain, f"predictions {when} are not those with plain ones", bench.method("predict"))
    odd, plain = (DETECTORS.ask(bench, data) for data in ("few odd", "few plain"))
    DETECTORS.same(bench, odd, plain, f"a training {when} is not as with plain ones", bench.method("train"))


def one_picture(bench: Bench) -> None:
    """Trains with a single picture."""
    DETECTORS.ask(bench, "one")


def thin_picture(bench: Bench) -> None:
    """Predicts on a picture that is a pixel high, and trains with it, which a detector may refuse by its name."""
    DETECTORS.use(bench, DETECTORS.learn(bench).folder, "thin", 0)
    done = bench.attempt("train", DETECTORS.views(bench, "thin"))
    if done.outcome.error and (done.outcome.trace or "000001.png" not in done.outcome.error):
        raise bench.failed(done, "a picture a pixel high is neither stood nor refused with its name")
