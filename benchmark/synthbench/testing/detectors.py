"""Checks of detectors."""

from __future__ import annotations

from pathlib import Path

from synthbench.contract.types import Boxes
from synthbench.testing.bench import Bench, Views
from synthbench.testing.checks import Failure
from synthbench.testing.subject import Answer, Subject, of_boxes

LEAST_AP, LEAST_GAIN = 0.3, 0.2


class Detectors(Subject):
    """They train, and predict on the pictures they were trained with."""

    stage = "train"

    def views(self, bench: Bench, data: str) -> Views:
        """The training set."""
        return {"data": [bench.pictures(data)]}

    def use(self, bench: Bench, folder: Path, data: str, seed: int) -> Answer:
        """The predicted boxes."""
        from synthbench.storage.boxes import read_boxes
        from synthbench.storage.views import BOXES

        done = bench.carry_out("predict", {"images": [bench.pictures(data)]}, seed=seed, fitted=str(folder))
        return of_boxes(read_boxes(done.workdir / BOXES))


DETECTORS = Detectors()


def learns(bench: Bench) -> None:
    """Scores it on the pictures it has seen, beside one that was shown wrong boxes: it stands for an untrained one."""
    misled = DETECTORS.use(bench, DETECTORS.learn(bench, "displaced").folder, "many", 0)
    right, wrong = (average_precision(bench, answer) for answer in (DETECTORS.ask(bench, "many"), misled))
    if right < LEAST_AP or right - wrong < LEAST_GAIN:
        raise Failure(
            f"AP on the pictures it was trained with is {right:.2f}, and {wrong:.2f} after a training with wrong boxes; wanted are "
            f"{LEAST_AP} and {LEAST_GAIN} more than that. `smoke_options` may have to let it learn longer",
            bench.method("train"),
        )


def average_precision(bench: Bench, answer: Answer) -> float:
    """COCO's AP of an answer about the many pictures."""
    from synthbench.metrics import evaluate
    from synthbench.storage.views import see

    images = see(bench.pictures("many"))
    truth = [picture.boxes or Boxes.none() for picture in images]
    predicted = [Boxes.of(each["boxes"], each["labels"], each["scores"]) for each in answer]
    return float(evaluate(truth, predicted, len(images.categories))["AP"] or 0.0)


def odd_pictures(bench: Bench) -> None:
    """Predicts on, and trains with, files and contents of every sort, and the same as plain files."""
    fitted = DETECTORS.learn(bench, "many").folder
    odd, plain = (DETECTORS.use(bench, fitted, data, 0) for data in ("odd", "plain"))
    DETECTORS.same(odd, plain, "predictions for turned, 16-bit, CMYK and other files are not those for plain ones", bench.method("predict"))
    odd, plain = (DETECTORS.ask(bench, data) for data in ("odd", "plain"))
    DETECTORS.same(odd, plain, "training with turned, 16-bit, CMYK and other files is not as with plain ones", bench.method("train"))


def one_picture(bench: Bench) -> None:
    """Trains with a single picture."""
    DETECTORS.ask(bench, "one")


def thin_picture(bench: Bench) -> None:
    """Predicts on a picture that is a pixel high, and trains with it, which a detector may refuse by its name."""
    DETECTORS.use(bench, DETECTORS.learn(bench).folder, "thin", 0)
    done = bench.attempt("train", DETECTORS.views(bench, "thin"))
    if done.outcome.error and (done.outcome.trace or "000001.png" not in done.outcome.error):
        raise bench.failed(done, "a picture a pixel high is neither stood nor refused with its name")
