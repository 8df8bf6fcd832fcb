"""What each kind of stage does: the functions that the table of stages names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from synthbench.contract.box_sources import FromAnnotator, FromPeople, box_source_of
from synthbench.contract.types import Boxes, ImageSet, Rejected, Sample, SampleRequest
from synthbench.errors import SynthbenchError
from synthbench.execution.border import Border, counted
from synthbench.execution.jobs import DATA, FEATURES
from synthbench.execution.perform import Task
from synthbench.metrics import measure, precision_recall
from synthbench.storage.boxes import REASON, REJECTED, read_known_boxes, write_boxes
from synthbench.storage.coco import read_samples, read_set, write_set
from synthbench.storage.matches import MATCHES, write_matches
from synthbench.storage.views import BOXES
from synthbench.text import cut

HOLDOUT_SEED = 20230600  # any: it only must differ from those of other draws


def load_data(task: Task) -> None:
    """Stores the real training and test images."""
    splits = task.plugin.load(task.run)
    name, folder = task.plugin.name, task.run.workdir
    counts: dict[str, dict[str, int]] = {}
    for split, samples in (("train", splits.train), ("test", splits.test)):
        border = Border(len(splits.categories))
        images = write_set(folder / split, splits.categories, border.samples(counted(samples, None, Sample)))
        border.note(task.run, f"{split}: ")
        if not len(images):
            raise SynthbenchError(f"{name}: the {split} set is empty")
        if split == "test" and (unknown := sum(picture.boxes is None for picture in images)):
            raise SynthbenchError(f"{name}: {unknown} test images come without boxes, so predictions on them cannot be scored")
        counts[split] = {"images": len(images), "boxes": sum(len(picture.boxes or ()) for picture in images)}
    about = {"categories": splits.categories, "rendered": splits.rendered, "license": splits.license, "source": splits.source}
    published = [asdict(score) for score in splits.published]
    (folder / DATA).write_text(json.dumps({**about, **counts, **({"published": published} if published else {})}))


def select_images(task: Task) -> None:
    """Stores some images of a split, the test images without their boxes: plugins are given these, never the data itself."""
    import numpy as np

    from synthbench.similarity import farthest_first

    split, count, seed = (task.job.parameters[name] for name in ("split", "count", "seed"))
    if split == "test":
        images = read_set(task.folder("data") / split).without_boxes()
    else:
        rest, held_out = split_train(task, "data")
        images = held_out.without_boxes() if split == "holdout" else rest
    if count is not None:
        if count > len(images):
            raise SynthbenchError(f"the suite asks for {count} real training images, but there are only {len(images)}")
        order = np.random.default_rng(seed).permutation(len(images))[:count].tolist()
        if "features" in task.job.reads:
            order = farthest_first(np.load(task.folder("features") / FEATURES).astype(np.float64), count, order[0])
        images = images.subset(sorted(order))
    samples = (Sample(picture.path, picture.boxes) for picture in images)
    write_set(task.run.workdir, images.categories, samples, link=True)
    task.facts.update(images=len(images))


def split_train(task: Task, data: str) -> tuple[ImageSet, ImageSet]:
    """The real training images that training sets are made of, and those that none of them has; the same in all replicates."""
    images, count = read_set(task.folder(data) / "train"), int(task.job.parameters.get("holdout", 0))
    if count >= len(images):
        raise SynthbenchError(f"the suite holds out {count} real training images, but there are only {len(images)}")
    return images.split(count / len(images), HOLDOUT_SEED)


def ask(task: Task) -> None:
    """Asks a generator whether boxes of the data's categories will come with its images. Fails with its reason if not."""
    task.plugin.check_boxes(task.images("like").categories)


def fit(task: Task) -> None:
    """Fits a generator."""
    task.plugin.fit(task.images("references"), task.run)


def sample(task: Task) -> None:
    """Stores what a generator samples, after the images that a shorter result of the series already has."""
    count: int = task.job.parameters["count"]
    categories = task.images("like").categories
    known = task.store.longest(task.job.kind, task.job.series)
    reused = min(count, int(known.record.facts.get("images") or 0)) if known else 0
    request = SampleRequest(reused, count, categories)

    def samples() -> Iterator[Sample]:
        if known:
            yield from read_samples(known.folder, reused)
        if len(request):
            yield from counted(task.plugin.sample(task.folder("fitted"), request, task.run), len(request), Sample)

    border = Border(len(categories))
    images = write_set(task.run.workdir, categories, border.samples(samples()), link=True)
    border.note(task.run)
    task.facts.update(images=len(images), reused_images=reused)


def locate(task: Task) -> None:
    """Stores a generator's boxes on images that it did not make."""
    images = task.images("images").without_boxes()
    store_boxes(task, task.plugin.locate(task.folder("fitted"), images, task.run), images)


def train(task: Task) -> None:
    """Trains a detector."""
    images = task.images("data")
    labelled = images.subset(number for number, picture in enumerate(images) if picture.boxes is not None)
    if len(labelled) < len(images):  # not known to be empty: to learn from them as background would be wrong
        task.run.note(f"{len(images) - len(labelled)} images without labels, or that an annotator rejected, were left out of the training")
    boxes = sum(len(picture.boxes or ()) for picture in labelled)
    task.facts.update(images=len(labelled), boxes=boxes)
    if not boxes:
        said = dict.fromkeys(note for each in task.annotated("data") for note in each.record.notes)
        raise SynthbenchError("; ".join(["there is not one box in the training set, so there is nothing to learn", *said]))
    labels = {label for picture in labelled if picture.boxes is not None for label in picture.boxes.labels.tolist()}
    if missing := [name for label, name in enumerate(images.categories) if label not in labels]:
        task.run.note(f"the training set has no box of {' or '.join(missing)}, so the detector cannot learn to find any")
    task.plugin.train(labelled, task.run)


def predict(task: Task) -> None:
    """Stores a detector's boxes."""
    images = task.images("images").without_boxes()
    store_boxes(task, task.plugin.predict(task.folder("fitted"), images, task.run), images)


def annotate(task: Task) -> None:
    """Stores an annotator's boxes."""
    images = task.described("images", "features")
    source = box_source_of(task.plugin)
    has_gaps = isinstance(source, FromAnnotator | FromPeople)  # images that the other annotator rejected, or that nobody looked at
    seen = [number for number, picture in enumerate(images) if picture.boxes is not None or not has_gaps]
    unseen = sorted({*range(len(images))} - {*seen})
    reasons = dict.fromkeys(unseen, "rejected by the annotator before") if isinstance(source, FromAnnotator) else {}
    given = images.subset(seen)
    border = Border(len(images.categories))
    stored: list[Boxes | None] = [None] * len(images)
    annotated = task.plugin.annotate(given, task.described("references", "reference_features"), task.run)
    yielded: Iterator[Boxes | Rejected] = counted(annotated, len(given), Boxes, Rejected)
    for number, each in zip(seen, yielded, strict=True):
        if isinstance(each, Rejected):
            reasons[number] = cut(each.reason)
        else:
            stored[number] = border.boxes(each, images[number].width, images[number].height)
    border.note(task.run)
    write_boxes(task.run.workdir / BOXES, stored)
    note_rejected(task, images, reasons)
    if unseen and isinstance(source, FromPeople):
        task.facts.update(unlabelled_images=len(unseen))
    boxes = [each for each in stored if each is not None]
    task.facts.update(boxes=sum(map(len, boxes)), images_without_boxes=sum(not len(each) for each in boxes))


def note_rejected(task: Task, images: ImageSet, reasons: Mapping[int, str]) -> None:
    """Stores which images were rejected and why, and says in the report how many. reasons: by the number of the image."""
    if not reasons:
        return
    listed = [{"image": images[number].path.name, "reason": reason} for number, reason in sorted(reasons.items())]
    (task.run.workdir / REJECTED).write_text(json.dumps(listed, indent=1))
    counts = Counter(reasons.values())
    task.facts.update(rejected_images=len(reasons), **{f"{REASON}{reason}": count for reason, count in counts.items()})
    told = ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())
    task.run.note(f"{len(reasons)} of {len(images)} images were rejected, and no detector is trained on them: {told}")


def score(task: Task) -> None:
    """Scores predictions on the test images against the truth: COCO's figures, where there is anything to divide by, and errors.

    Stores the matches as well, from which AP of resampled test images is computed (`metrics.bootstrap`).
    """
    truth, predicted, categories = against_truth(task)
    matches, figures = measure(truth, [each or Boxes.none() for each in predicted], categories)
    write_matches(task.run.workdir / MATCHES, matches)
    task.facts.update(figures)


def judge(task: Task) -> None:
    """Precision and recall of an annotator's boxes at IoU 0.5, where there is anything to divide by."""
    truth, predicted, _ = against_truth(task)
    pairs = [(true, found) for true, found in zip(truth, predicted, strict=True) if found is not None]
    counts = precision_recall([true for true, _ in pairs], [found for _, found in pairs], 0.5)
    if rejected := len(predicted) - len(pairs):
        task.facts.update(rejected_images=rejected)
    ratios = {"precision": counts.precision, "recall": counts.recall}
    task.facts.update(asdict(counts) | {name: value for name, value in ratios.items() if value is not None})


def store_boxes(task: Task, boxes: Iterable[object], images: ImageSet) -> list[Boxes]:
    """Checks, clips and stores the boxes that a plugin yields for images."""
    border = Border(len(images.categories))
    stored = list(border.predictions(counted(boxes, len(images), Boxes), images))
    border.note(task.run)
    write_boxes(task.run.workdir / BOXES, stored)
    return stored


def against_truth(task: Task) -> tuple[list[Boxes], list[Boxes | None], int]:
    """The true boxes of the test images or of the held-out ones, the predicted ones, None for an image that an annotator rejected, and
    the number of categories.
    """
    images = split_train(task, "truth")[1] if task.job.parameters.get("holdout") else read_set(task.folder("truth") / "test")
    truth = [picture.boxes or Boxes.none() for picture in images]
    return truth, read_known_boxes(task.folder("predictions") / BOXES), len(images.categories)
