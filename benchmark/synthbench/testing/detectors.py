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
LEARNS_PROMISE = f"AP of {LEAST_AP} or more on its training pictures, and at least {LEAST_GAIN} less after training with wrong boxes"
LEAST_FOUND = 8  # found squares that a check of labels needs
LEAST_RIGHT = 0.5  # share of correct labels
MANY_OF_SECOND = "many" + OF_SECOND


class Detectors(Subject):
    """Detectors train, and predict on their training pictures."""

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
    """Compares AP on the training pictures with that after training with wrong boxes, which stands for an untrained detector."""
    data = many(bench)
    misled = DETECTORS.use(bench, DETECTORS.learn(bench, data.replace("many", "displaced")).folder, data, 0)
    right, wrong = (average_precision(truth(bench, data), answer) for answer in (DETECTORS.ask(bench, data), misled))
    if right < LEAST_AP or right - wrong < LEAST_GAIN:
        raise Failure(
            f"AP on the training pictures is {right:.2f}, and {wrong:.2f} after training with wrong boxes; it must be at least {LEAST_AP} "
            f"and {LEAST_GAIN} higher than with wrong boxes. Longer training in `smoke_options` may be needed",
            bench.method("train"),
        )


def many(bench: Bench) -> str:
    """The name of the set of many pictures: with two categories if the detector learns them well enough, else with one."""

    def choose() -> str:
        answer = of_second_category(bench)
        well = not isinstance(answer, Failure) and average_precision(truth(bench, MANY_OF_SECOND), answer) >= LEAST_AP
        return MANY_OF_SECOND if well else "many"

    return bench.once("many", choose)


def of_second_category(bench: Bench) -> Answer | Failure:
    """The boxes found if all objects are of the second of two categories, or the Failure."""

    def ask() -> Answer | Failure:
        try:
            return DETECTORS.ask(bench, MANY_OF_SECOND)
        except Failure as failure:
            return failure

    answer: Answer | Failure = bench.once("of second category", lambda: [ask()])[0]
    return answer


def distinguishes_categories(bench: Bench) -> None:
    """Checks the labels of found boxes if all objects are of the second of two categories."""
    import numpy as np

    if LEARNS in bench.failures:
        raise Skip.after(LEARNS)
    answer = of_second_category(bench)
    if isinstance(answer, Failure):
        if answer.trace:
            raise answer
        raise Skip(f"it does not support two categories: {answer.reason}")  # a SynthbenchError
    right = labels_of_found(truth(bench, MANY_OF_SECOND), answer)
    if len(right) < LEAST_FOUND:
        raise Skip(f"it finds {len(right)} of the objects, too few to check their labels")
    if np.mean(right) < LEAST_RIGHT:
        raise Failure(
            f"{np.mean(right):.0%} of the labels are right if all objects are of the second of two categories. Labels are positions in "
            "`data.categories`; a detector that supports only one category must raise a SynthbenchError for more",
            bench.method("predict"),
        )


def truth(bench: Bench, data: str) -> ImageSet:
    """Toy pictures with their boxes."""
    from synthbench.storage.views import read_view

    return read_view(bench.store, bench.pictures(data))


def average_precision(images: ImageSet, answer: Answer) -> float:
    """COCO's AP of predicted boxes, ignoring labels."""
    import numpy as np

    from synthbench.metrics import evaluate

    true = [Boxes.of((picture.boxes or Boxes.none()).xyxy) for picture in images]
    predicted = [Boxes.of(each["boxes"], scores=np.nan_to_num(each["scores"])) for each in answer]
    return float(evaluate(true, predicted, 1)["AP"] or 0.0)


def labels_of_found(images: ImageSet, answer: Answer) -> list[bool]:
    """For each found object, whether the box of highest score on it (IoU of 0.5 or more) has the right label."""
    from synthbench.metrics import iou_matrix

    right = []
    for picture, each in zip(images, answer, strict=True):
        boxes = picture.boxes or Boxes.none()
        overlaps = iou_matrix(boxes.xyxy, each["boxes"])
        for label, overlap in zip(boxes.labels, overlaps, strict=True):
            if (overlap >= 0.5).any():
                best = max((overlap >= 0.5).nonzero()[0], key=lambda number: each["scores"][number])
                right.append(bool(each["labels"][best] == label))
    return right


def odd_pictures(bench: Bench) -> None:
    """Checks that files of all formats and the same pictures as plain PNG files give the same predictions and training."""
    fitted = DETECTORS.learn(bench, data := many(bench)).folder
    odd, plain = (DETECTORS.use(bench, fitted, data.replace("many", files), 0) for files in ("odd", "plain"))
    when = "with rotated, 16-bit, CMYK and other files"
    DETECTORS.same(bench, odd, plain, f"predictions {when} differ from those with plain files", bench.method("predict"))
    odd, plain = (DETECTORS.ask(bench, data) for data in ("few odd", "few plain"))
    DETECTORS.same(bench, odd, plain, f"training {when} differs from training with plain files", bench.method("train"))


def one_picture(bench: Bench) -> None:
    """Trains on a single picture."""
    DETECTORS.ask(bench, "one")


def equal_steps(bench: Bench) -> None:
    """Trains on 4 and on 12 pictures and compares the `steps` that it logs."""
    steps = {len(truth(bench, data)): logged_steps(bench, data) for data in ("few", "dozen")}
    if not any(isinstance(each, int) for each in steps.values()):
        raise Skip("it logs no `steps`; a detector that is trained by an optimizer must log how many it took, with `run.log_metrics`")
    if len(set(steps.values())) > 1:
        told = " and ".join(f"{each} steps on {count} pictures" for count, each in steps.items())
        raise Failure(
            f"it takes {told}. Rows of a report must differ in their data alone: set the number of steps by an option, as with "
            "`training_batches`, and log the number that was taken",
            bench.method("train"),
        )


def logged_steps(bench: Bench, data: str) -> object:
    """What a training on toy pictures logged as `steps`; None if nothing."""
    trained = bench.store.get(DETECTORS.stage, DETECTORS.learn(bench, data).folder.name)
    assert trained is not None, "it has just been trained"
    return trained.record.metrics.get(bench.found.name, {}).get("steps")


def thin_picture(bench: Bench) -> None:
    """Predicts on a picture one pixel high and trains with it. Training may raise a SynthbenchError that names the file."""
    DETECTORS.use(bench, DETECTORS.learn(bench).folder, "thin", 0)
    done = bench.attempt("train", DETECTORS.views(bench, "thin"))
    if done.outcome.error and (done.outcome.trace or "000001.png" not in done.outcome.error):
        raise bench.failed(done, "training fails at a picture one pixel high, but the error does not name the file")


def exports(bench: Bench) -> None:
    """Runs the ONNX file of the trained detector on its training pictures, and compares its boxes with the predicted ones."""
    import tempfile

    from synthbench.exporting.detector import NotExported, write_file
    from synthbench.exporting.onnx_check import check
    from synthbench.storage.boxes import read_boxes
    from synthbench.storage.views import BOXES

    if not hasattr(bench.found.cls, "export"):
        raise Skip("it has no `export`")
    data = many(bench)
    images, folder = truth(bench, data), DETECTORS.learn(bench, data).folder
    predicted = read_boxes(bench.run("predict", {"images": [bench.pictures(data)]}, fitted=str(folder)).folder / BOXES)
    with tempfile.TemporaryDirectory() as target:
        try:
            write_file(bench.plugin, folder, Path(target), images.categories)
            checked = check(Path(target), images, predicted)
        except NotExported as error:
            raise Failure(f"it writes no ONNX file: {error}", bench.method("export")) from error
        except ModuleNotFoundError as error:
            raise Skip(f"{error.name} is not installed") from error
    if not checked.holds:
        raise Failure(f"its ONNX file gives other boxes: {checked}", bench.method("export"))
    if not checked.boxes:
        raise Skip(str(checked))
