"""Models that find what a text names, without training: Grounding DINO and its relatives, OWLv2, and SAM 2 to tighten boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import (
    Boxes,
    BoxSource,
    EntryName,
    FromAnnotator,
    FromDetector,
    FromGenerator,
    ImageSet,
    NoBoxes,
    Run,
    SynthbenchError,
    Weights,
    hookimpl,
    option,
)

if TYPE_CHECKING:
    from synthbench import Annotator, Detector

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Prompts = Mapping[str, str | tuple[str, ...]]
LLMDET, OWLV2, SAM2 = "iSEE-Laboratory/llmdet_tiny", "google/owlv2-base-patch16-ensemble", "facebook/sam2.1-hiera-tiny"


@dataclass(frozen=True, kw_only=True)
class GroundingDino:
    """Labels images with Grounding DINO (Liu et al., arXiv 2303.05499), MM Grounding DINO (2401.02361) or LLMDet (2501.18954).

    They find what `prompts` name. Thresholds, and which of several prompts is taken, are tuned on the references.
    """

    name: ClassVar[str] = "grounding-dino"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    seeded: ClassVar[bool] = False

    weights: Weights = LLMDET
    """A folder that transformers' `save_pretrained` wrote, model and processor, or a hub id, which is downloaded only under
    `--download`. Of the type `grounding-dino` or `mm-grounding-dino`, as LLMDet is."""
    prompts: Prompts = field(default_factory=dict)
    """What to look for, by category: a text, or several, of which the one that works best on the references is taken. Categories
    that are not listed are looked for by their name."""
    score_threshold: Share | Literal["tuned"] = "tuned"
    """Boxes with a lower score are dropped. `tuned`: for each category, the threshold with the highest F1 on the references."""
    nms_iou: Share = 0.5
    """Of two boxes of a category with a higher IoU than this, the one with the lower score is dropped."""
    max_detections: Count = 100
    """The most boxes that are kept in an image: those with the highest scores."""
    image_size: Annotated[int, Meta(ge=0)] = 0
    """Pixels of an image's shorter side; the longer one has at most 5/3 of it. 0: as the checkpoint says, usually 800."""
    batch_size: Count = 4
    """Images that are searched at once."""

    def __post_init__(self) -> None:
        """Raises SynthbenchError for prompts that are empty or contain what separates prompts."""
        check_prompts(self.prompts, ".?")

    @property
    def boxes_from(self) -> BoxSource:
        """Nobody's."""
        return NoBoxes()

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most `max_detections` boxes per image, highest score first.

        Logs what was tuned: `prompts`, `score_thresholds`, and the F1 at IoU 0.5 on the references with that (`references_f1`) and
        with the first prompts and a threshold of 0.3 (`references_f1_untuned`).
        Raises SynthbenchError if the weights are missing or of another type, or a prompt is of no category.
        """
        from synthbench_zeroshot.annotating import annotate
        from synthbench_zeroshot.grounding import Grounding

        return annotate(self, Grounding.open(self.weights, self.image_size, run), images, references, run)


@dataclass(frozen=True, kw_only=True)
class Owlv2:
    """Labels images with OWLv2 (Minderer et al., arXiv 2306.09683); what is tuned is tuned on the references, as for `grounding-dino`."""

    name: ClassVar[str] = "owlv2"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    seeded: ClassVar[bool] = False

    weights: Weights = OWLV2
    """A folder that transformers' `save_pretrained` wrote, model and processor, or a hub id, which is downloaded only under
    `--download`."""
    prompts: Prompts = field(default_factory=dict)
    """What to look for, by category: a text, or several, of which the one that works best on the references is taken. Categories
    that are not listed are looked for by their name."""
    score_threshold: Share | Literal["tuned"] = "tuned"
    """Boxes with a lower score are dropped. `tuned`: for each category, the threshold with the highest F1 on the references."""
    nms_iou: Share = 0.5
    """Of two boxes of a category with a higher IoU than this, the one with the lower score is dropped."""
    max_detections: Count = 100
    """The most boxes that are kept in an image: those with the highest scores."""
    batch_size: Count = 4
    """Images that are searched at once."""

    def __post_init__(self) -> None:
        """Raises SynthbenchError for empty prompts."""
        check_prompts(self.prompts)

    @property
    def boxes_from(self) -> BoxSource:
        """Nobody's."""
        return NoBoxes()

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields boxes, logs and raises as `GroundingDino.annotate` does; the untuned threshold is 0.1."""
        from synthbench_zeroshot.annotating import annotate
        from synthbench_zeroshot.owl import Owl

        return annotate(self, Owl.open(self.weights, run), images, references, run)


@dataclass(frozen=True, kw_only=True)
class Sam2:
    """Tightens another's boxes: SAM 2 (Ravi et al., arXiv 2408.00714) outlines the object in each box, and the outline gets the box.

    The boxes are those of `annotator` or `detector`, or the generator's own if both are empty.
    """

    name: ClassVar[str] = "sam2"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    seeded: ClassVar[bool] = False

    annotator: EntryName = ""
    """The name of another annotator in the suite."""
    detector: EntryName = ""
    """The name of a detector in the suite, which is trained on the references."""
    weights: Weights = SAM2
    """A folder that transformers' `save_pretrained` wrote, model and processor, or a hub id, which is downloaded only under
    `--download`. Of the type `sam2` or `sam2_video`."""
    score_threshold: Share = 0.5
    """Of a detector's boxes, those with a lower score are dropped. An annotator's and a generator's are all kept."""
    nms_iou: Share = 0.5
    """Of two of a detector's boxes of a category with a higher IoU than this, the one with the lower score is dropped."""
    margin: NotNegative = 0.15
    """An outline may exceed its box by this share of the box's sides; what is further outside is cut off."""
    min_iou: Share = 0.5
    """A box whose outline has a lower IoU with it stays as it is: the outline is probably that of a part, or of something else."""
    batch_size: Count = 32
    """Boxes of an image that are outlined at once."""

    def __post_init__(self) -> None:
        """Raises SynthbenchError if both sources are named."""
        if self.annotator and self.detector:
            raise SynthbenchError("detector: the boxes come from the annotator or from the detector; name one of them")

    @property
    def boxes_from(self) -> BoxSource:
        """The annotator's, the detector's, or the generator's."""
        if self.annotator:
            return FromAnnotator(self.annotator)
        return FromDetector(self.detector) if self.detector else FromGenerator()

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:  # noqa: ARG002 - the contract's
        """Yields the boxes, tightened, in the order and with the scores that they came with.

        Logs `tightened`, the boxes that an outline replaced, `unchanged`, the others, and `mean_iou` of boxes before and after.
        Raises SynthbenchError if the weights are missing or of another type, or an image has no `boxes`.
        """
        from synthbench_zeroshot.tightening import tighten

        return tighten(self, images, run)


@dataclass(frozen=True, kw_only=True)
class GroundingDinoDetector:
    """Grounding DINO, MM Grounding DINO or LLMDet as a detector: as it is (`max_train_steps = 0`), or fine-tuned on the training set."""

    name: ClassVar[str] = "grounding-dino"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"

    weights: Weights = LLMDET
    """A folder that transformers' `save_pretrained` wrote, model and processor, or a hub id, which is downloaded only under
    `--download`. Of the type `grounding-dino` or `mm-grounding-dino`, as LLMDet is."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """What to look for, by category. Categories that are not listed are looked for by their name."""
    image_size: Annotated[int, Meta(ge=0)] = 0
    """Pixels of an image's shorter side; the longer one has at most 5/3 of it. 0: as the checkpoint says, usually 800."""
    max_train_steps: Annotated[int, Meta(ge=0)] = 300
    """Optimizer steps, each on `batch_size` images, whatever the size of the training set. 0: zero-shot, nothing is learned."""
    batch_size: Count = 4
    """Images in an optimizer step, and images that are searched at once."""
    learning_rate: Positive = 1e-4
    """Peak, for AdamW: a linear warm-up over the first tenth of the steps, and a cosine decay to zero."""
    backbone_learning_rate_factor: NotNegative = 0.1
    """The image backbone's learning rate as a share of `learning_rate`; 0 freezes it. The text backbone is always frozen."""
    weight_decay: NotNegative = 1e-4
    """Of AdamW."""
    max_grad_norm: Positive = 0.1
    """Gradients are clipped to this norm."""
    horizontal_flip: Share = 0.5
    """Probability that a training image is mirrored left to right."""
    scale_jitter: Annotated[float, Meta(ge=1)] = 1.25
    """Each batch is resized by a random factor between 1 / `scale_jitter` and `scale_jitter` of its size."""
    mixed_precision: Literal["no", "bf16"] = "no"
    """`bf16`: bfloat16 on CUDA, as far as torch's autocast uses it. A CPU always computes in float32."""

    score_threshold: Share = option(0.01, stage="predict")
    """Boxes with a lower score are dropped."""
    nms_iou: Share = option(0.7, stage="predict")
    """Of two boxes of a category with a higher IoU than this, the one with the lower score is dropped."""

    def __post_init__(self) -> None:
        """Raises SynthbenchError for prompts that are empty or contain what separates prompts."""
        check_prompts(self.prompts, ".?")

    def train(self, data: ImageSet, run: Run) -> None:
        """Writes the model and its processor to `run.workdir`, or only `zero-shot.json` if nothing is learned.

        Logs `steps`, `parameters` and the curve `loss`.
        Raises SynthbenchError if the weights are missing or of another type, a prompt is of no category, or the loss is not finite.
        """
        from synthbench_zeroshot.training import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most 100 boxes per image, highest score first."""
        from synthbench_zeroshot.prediction import predict

        return predict(self, fitted, images, run)


def check_prompts(prompts: Prompts, separators: str = "") -> None:
    """Raises SynthbenchError for a category without a prompt, and for prompts that are empty or contain one of the separators."""
    for category, given in prompts.items():
        texts = (given,) if isinstance(given, str) else given
        if not texts:
            raise SynthbenchError(f"prompts: '{category}' has none; give it a text, or leave the category out to take its name")
        for text in texts:
            if not text.strip():
                raise SynthbenchError(f"prompts: '{category}' has an empty one; leave the category out to take its name")
            if found := [character for character in separators if character in text]:
                raise SynthbenchError(f"prompts: '{text}' contains '{found[0]}', which separates prompts; leave it out")


@hookimpl
def synthbench_annotators() -> Sequence[type[Annotator]]:
    """Two families of zero-shot annotators, and one that tightens boxes."""
    return (GroundingDino, Owlv2, Sam2)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    """Grounding DINO and its relatives."""
    return (GroundingDinoDetector,)
