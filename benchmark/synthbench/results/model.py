"""The results of a run as one typed value. `SCHEMA` is raised when its layout changes; `migrate` reads the older ones.

A figure that could not be measured is None. Seconds are wall time, memory is bytes, AP and its kin run from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from synthbench.results.claims import Evidence

SCHEMA = 3
TrainingSetKind = Literal["real", "references", "subset", "labelled", "generated", "mix", "part"]
Value = str | int | float | bool | None


class Seeds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every seed of a suite, by what it draws."""

    references: tuple[int, ...]
    generators: tuple[int, ...]
    """Also those of annotators, and of the detector that a teacher is."""
    detectors: tuple[int, ...]

    @property
    def replicates(self) -> int:
        """How many times the experiment is done; what has one seed keeps it in all of them."""
        return max(len(self.references), len(self.generators), len(self.detectors))


class EntryInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configured plugin: where it comes from, and every option with its value."""

    name: str
    plugin: str
    version: int
    license: str
    distribution: str
    release: str
    rival: bool = False
    """A generator without a generative model."""
    options: dict[str, Any]
    trained_on: dict[str, str] = {}
    """For each option that names starting weights, what these were trained on, as a file beside them says; empty if none does."""


class SuiteInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was compared, with every default."""

    name: str
    file: str
    title: str
    about: str
    caveat: str = ""
    seeds: Seeds
    references: int
    reference_choice: str = "random"
    """How the references were drawn from the real images."""
    images: int
    holdout: int = 0
    """Real training images that no training set has."""
    margin: float = 0.05
    """How far below `real` the AP of a training set may lie that still replaces it."""
    timeout: float
    data: EntryInfo
    generators: list[EntryInfo]
    annotators: list[EntryInfo]
    detectors: list[EntryInfo]


class SplitCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a split of the real data holds."""

    images: int
    boxes: int


class Published(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A score that others have published on the same test images; None where a figure is not stated."""

    method: str
    source: str
    AP: float
    AP50: float | None = None
    AP75: float | None = None


class DataInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the data source says of its data. rendered: a program drew the images."""

    categories: list[str]
    rendered: bool
    license: str
    source: str
    train: SplitCounts
    test: SplitCounts
    published: list[Published] = []


class TrainingSetInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the report.

    kind: `subset` is some of the real images, `labelled` all of them with an annotator's boxes, `part` a generated set or a mix with
    fewer generated images. generator, annotator: entries of the suite, of a generated or labelled set; parts: names, of a mix.
    whole: the training set that a part is of.
    """

    name: str
    kind: TrainingSetKind
    generator: str = ""
    annotator: str = ""
    parts: list[str] = []
    images: int | None = None
    """How many images a subset holds, and how many generated ones a generated set, a part or a mix; None where there are none."""
    whole: str = ""


class Draw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The seeds that a training set depends on; None where it depends on none."""

    references: int | None = None
    generator: int | None = None


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a training was given, as the core counted it, and what the plugin logged, under the plugin's name."""

    images: int
    boxes: int
    metrics: dict[str, dict[str, Value]] = {}
    curves: dict[str, list[tuple[int, float]]] = {}
    """Learning curves that the plugin logged, such as `loss` and `validation_loss`: points of (optimizer steps so far, value)."""


class CellKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of a cell's stages."""

    train: str
    predict: str
    score: str


class ClassFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How well the objects of one category are found.

    objects: its true boxes on the test images, without crowds. metrics: AP, AP50, AP75 and AR100; empty if there is no such box.
    """

    name: str
    objects: int
    metrics: dict[str, float] = {}


class Cell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training set, a detector and their seeds, with COCO's figures and TIDE's errors.

    replicate: from 0; differences are taken within one. A cell that does not change in another replicate is there again.
    training_set, detector: names. seed: the detector's.
    metrics: AP, AP50, … as far as measured; empty where there is no score. What went wrong, after `synthbench.metrics.errors`:
    `error_TYPE` is the dAP of a type, by how much AP50 would rise without its errors, and `error_TYPE_count` their number, for
    TYPE in class, place, both, duplicate, background and missed; `error_false_positive` and `error_false_negative` are the dAP
    of all false positives and of all misses. Older results have no errors.
    classes: the figures of each category, in the order of the data's; empty where there is one category alone, and in older results.
    training: None where the training did not finish. failed: the key of the stage that kept the cell from its score.
    waiting: the key of the stage that waits for labels by people, without which the cell has no score.
    """

    training_set: str
    detector: str
    seed: int
    replicate: int = 0
    draw: Draw
    metrics: dict[str, float]
    classes: list[ClassFigures] = []
    held_out_ap: float | None = None
    """AP on real images that no training set has, of a generated set; None if the suite holds none out."""
    training: Training | None
    train_seconds: float
    predict_seconds: float
    keys: CellKeys
    failed: str | None = None
    waiting: str | None = None


class Generated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A generated training set of one draw: what sampling and annotating gave. images, boxes: None where they did not finish."""

    training_set: str
    generator: str
    annotator: str
    draw: Draw
    images: int | None = None
    boxes: int | None = None
    images_without_boxes: int | None = None
    rejected: dict[str, int] = {}
    """How many images the annotator rejected, by reason. They are among `images`, and no detector is trained on them."""
    metrics: dict[str, dict[str, Value]] = {}
    """What the plugins logged, by plugin."""


class Judged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An annotator's boxes on the test images against the truth, at IoU 0.5. generator: whose boxes they are, or empty.

    rejected_images: those that it rejected, which are not among the others.
    """

    annotator: str
    generator: str
    draw: Draw
    hits: int | None = None
    false_positives: int | None = None
    misses: int | None = None
    precision: float | None = None
    recall: float | None = None
    rejected_images: int = 0


class Agreement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An annotator's boxes on generated images against people's, at IoU 0.5; None where that did not finish.

    images: that people looked at. kept: boxes that people left as they are, to half a pixel. moved: boxes that they changed, with an IoU
    of at least 0.5. removed, added: boxes of the annotator alone, and of people alone; hits are kept and moved ones.
    """

    annotator: str
    images: int | None = None
    hits: int | None = None
    false_positives: int | None = None
    misses: int | None = None
    precision: float | None = None
    recall: float | None = None
    kept: int | None = None
    moved: int | None = None
    removed: int | None = None
    added: int | None = None


class Labelled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A generator's images that people label for an annotator.

    folder: where, below the folder of labels. key: of the stage that reads the answers, or waits for them. asked, answered: images.
    waiting: whether answers are missing. pre_labels: the annotator whose boxes people found in the images, or empty.
    empty: images in which they found nothing. boxes: that they drew. timed: images of which the tool says how long they took, and
    people_seconds, how long that was. tools: the formats of the answers.
    """

    annotator: str
    generator: str
    draw: Draw
    folder: str
    key: str
    asked: int
    answered: int
    waiting: bool
    pre_labels: str = ""
    empty: int | None = None
    boxes: int | None = None
    timed: int | None = None
    people_seconds: float | None = None
    tools: str = ""
    agreement: list[Agreement] = []


class Pair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two images that look the same. first, second: file names. exact: pixel for pixel. mirrored: one is the other's mirror image.

    hash_distance: of 64 bits. correlation: of grey thumbnails.
    """

    first: str
    second: str
    exact: bool
    mirrored: bool
    hash_distance: int
    correlation: float


class SplitCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Test images (`second`) that are near-duplicates of training images (`first`).

    pairs: of `test_images`, how many; exact, mirrored: how many of these. allowed: the suite's `allow_duplicates`.
    nearest: at most 50. If there are any and they are not allowed, the stage failed, and all but `allowed` is None or empty.
    """

    allowed: bool
    train_images: int | None = None
    test_images: int | None = None
    pairs: int | None = None
    exact: int | None = None
    mirrored: int | None = None
    nearest: list[Pair] = []


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A generated set of one draw beside the references and all real training images; None or empty if it did not finish.

    pairs: of `images`, how many copy a reference; exact, mirrored: how many of these. nearest: at most 50; `first` is the file of
    the reference in the artifact of the stage `references_key`, `second` that of the generated image in that of `images_key`.
    distances: to the real training images, by name. box_count, box_size, box_x, box_y: see `synthbench.similarity.boxes`;
    `SPACE: frechet`, `kernel`, `density`, `coverage`: see `synthbench.similarity.distances`, of features of that space.
    """

    training_set: str
    generator: str
    annotator: str
    draw: Draw
    references_key: str
    images_key: str
    images: int | None = None
    references: int | None = None
    pairs: int | None = None
    exact: int | None = None
    mirrored: int | None = None
    nearest: list[Pair] = []
    distances: dict[str, float] = {}


class Correlation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Spearman's rank correlation of a distance with a detector's AP (a mean over its seeds) over generated sets and their draws.

    sets: how many. value: None if they are too few, or all distances or all AP are equal.
    """

    distance: str
    detector: str
    sets: int
    value: float | None = None


class Similarity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Near-duplicates and distances. splits: training and test images. generated: each generated set and draw."""

    splits: SplitCheck
    generated: list[Comparison] = []
    correlations: list[Correlation] = []


class StageInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stage and what it took. `facts` are the core's, `metrics` the plugin's, under its name."""

    kind: str
    label: str
    key: str
    state: Literal["done", "failed", "blocked", "waiting"]
    cached: bool = False
    seconds: float | None = None
    peak_memory: int | None = None
    """Of the worker process, from its start to the stage's end."""
    peak_gpu_memory: int | None = None
    """That torch had allocated on the GPU at once during the stage."""
    notes: list[str] = []
    facts: dict[str, Value] = {}
    metrics: dict[str, dict[str, Value]] = {}


class Failure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A failed stage, the last lines of its trace, and the cells that have no score because of it.

    fixable: the error says what to change, and before that the stage fails in the same way.
    """

    key: str
    label: str
    error: str
    trace: str
    cells: list[str]
    fixable: bool = False


class OwnEnvironment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The environment that a plugin's stages ran in, where that is one of its own."""

    python: str
    packages: dict[str, str]


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Versions of everything that the results depend on, and the machine."""

    synthbench: str
    commit: str
    python: str
    platform: str
    processors: int | None
    device: str
    packages: dict[str, str]
    own_environments: dict[str, OwnEnvironment] = {}
    workers: int | None = None
    wall_seconds: float | None = None
    """Of the last run that computed anything."""


class Results(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything there is to say of a run. costs: for each training set, seconds by kind of stage."""

    schema: int = SCHEMA
    suite: SuiteInfo
    data: DataInfo | None
    training_sets: list[TrainingSetInfo]
    cells: list[Cell]
    generated: list[Generated]
    judged: list[Judged]
    stages: list[StageInfo]
    costs: dict[str, dict[str, float]]
    failures: list[Failure]
    environment: Environment
    replicates_planned: int = 1
    """How many the suite asks for; those that are here are complete."""
    evidence: Evidence | None = None
    """None in older results."""
    command: str
    """What made these results, as it was typed; empty where a script did."""
    similarity: Similarity | None = None
    """None in results of versions that did not compare."""
    labelled: list[Labelled] = []
    """What people label, and what still waits for them."""
    pictures: dict[str, dict[str, Any]] = {}
    """The drawn files, relative to the report, with what their captions need."""

    def rows(self) -> list[dict[str, Any]]:
        """One flat dictionary a cell, for a data frame: `pandas.DataFrame(results.rows())`.

        Columns: training_set, kind, generator, annotator, detector, replicate, seed, references_seed, generator_seed, images, boxes, every
        metric (AP, AP50, …, error_class, …), train_seconds, predict_seconds, failed. A cell without a score has no metrics.
        """
        sets: Mapping[str, TrainingSetInfo] = {each.name: each for each in self.training_sets}
        return [
            {
                "training_set": cell.training_set,
                "kind": sets[cell.training_set].kind,
                "generator": sets[cell.training_set].generator,
                "annotator": sets[cell.training_set].annotator,
                "detector": cell.detector,
                "replicate": cell.replicate,
                "seed": cell.seed,
                "references_seed": cell.draw.references,
                "generator_seed": cell.draw.generator,
                "images": cell.training.images if cell.training else None,
                "boxes": cell.training.boxes if cell.training else None,
                **cell.metrics,
                "train_seconds": cell.train_seconds,
                "predict_seconds": cell.predict_seconds,
                "failed": cell.failed is not None,
            }
            for cell in self.cells
        ]
