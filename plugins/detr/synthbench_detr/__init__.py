"""The DETR family, as transformers builds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Boxes, ImageSet, Run, SynthbenchError, Weights, hookimpl, option

if TYPE_CHECKING:
    from synthbench import Detector, OnnxInput

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Detr:
    """Set prediction with transformers: DETR (Carion et al., arXiv 2005.12872) and three models that are based on it.

    Conditional DETR: arXiv 2108.06152; deformable DETR, with box refinement: 2010.04159; RT-DETR: 2304.08069.
    Plain DETR needs `weights` if there are only some hundred images; the other three need fewer steps and images.
    """

    name: ClassVar[str] = "detr"
    version: ClassVar[int] = 2
    license: ClassVar[str] = "Apache-2.0"
    smoke_options: ClassVar[Mapping[str, object]] = {
        "weights": "small-detr",
        "image_size": 64,
        "max_train_steps": 100,
        "learning_rate": 0.001,
    }
    renamed_options: ClassVar[Mapping[str, str]] = {
        "amp": "mixed_precision",
        "backbone_rate": "backbone_learning_rate_factor",
        "batch": "batch_size",
        "flip": "horizontal_flip",
        "gradient_norm": "max_grad_norm",
        "validation": "validation_split",
        "zoom": "scale_jitter",
    }
    replaced_options: ClassVar[Mapping[str, str]] = {
        "epochs": "replaced by 'max_train_steps', the optimizer steps of every training set, whatever its size",
        "min_steps": "replaced by 'max_train_steps', the optimizer steps of every training set, whatever its size",
    }

    variant: Literal["detr", "conditional-detr", "deformable-detr", "rt-detr"] = "detr"
    """Which of the four models."""
    weights: Weights = ""
    """A checkpoint to start from, as transformers' `save_pretrained` writes it: a shipped name, a folder, or a hub id, which is
    downloaded only under `--download`."""

    width: Annotated[int, Meta(ge=32, multiple_of=32)] = 64
    """Channels of the transformer. `width`, `layers`, `queries` and `stride` count without `weights` only."""
    layers: Annotated[int, Meta(ge=2)] = 2
    """Layers of the decoder and of the encoder, except that RT-DETR's encoder always has one. transformers cannot build a
    deformable DETR with one layer."""
    queries: Count = 40
    """The largest number of objects that can be found in an image."""
    stride: Literal[8, 16, 32] = 8
    """Pixels between features. Deformable DETR and RT-DETR have two coarser levels in addition."""

    image_size: Annotated[int, Meta(ge=64, multiple_of=32)] = 256
    """Pixels; images are stretched to squares of this size, boxes with them, as RT-DETR does."""
    max_train_steps: Count = 1000
    """Optimizer steps, each on `batch_size` images, whatever the size of the training set. The learning rate's schedule spans them."""
    batch_size: Count = 8
    """Images in one optimizer step."""
    learning_rate: Positive = 5e-4
    """Peak, for AdamW: a linear warm-up over the first tenth of the steps, and a cosine decay to zero."""
    backbone_learning_rate_factor: NotNegative = 1.0
    """The backbone's learning rate as a share of `learning_rate`; 0 freezes the backbone. The paper: 0.1 with ImageNet weights."""
    weight_decay: NotNegative = 1e-4
    """AdamW's."""
    max_grad_norm: Positive = 0.1
    """Gradients are clipped to this norm."""
    horizontal_flip: Share = 0.5
    """Probability that a training image is mirrored left to right."""
    scale_jitter: Annotated[float, Meta(ge=1)] = 1.25
    """Each training image is scaled by a random factor between 1 / `scale_jitter` and `scale_jitter`, and cropped or padded to
    `image_size` at a random position."""
    validation_split: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Share of the training images that is held back, which means that nothing is learned from them: the loss on them is measured
    about 20 times during training, and is the learning curve `validation_loss`."""
    keep: Literal["best", "last"] = "last"
    """The weights at the end, or those with the lowest loss on the images held back, which needs `validation_split`."""
    mixed_precision: Literal["no", "bf16"] = "no"
    """`bf16`: bfloat16 on CUDA, as far as torch's autocast uses it. A CPU always computes in float32."""

    score_threshold: Share = option(0.01, stage="predict")
    """Boxes with a lower score are dropped."""

    def __post_init__(self) -> None:
        """Raises SynthbenchError for options that contradict each other."""
        if self.keep == "best" and self.validation_split == 0:
            raise SynthbenchError(
                'validation_split: keep = "best" needs images to compare steps on; set validation_split above 0, or keep = "last"'
            )

    def train(self, data: ImageSet, run: Run) -> None:
        """Writes `config.json` and `model.safetensors` to `run.workdir`.

        Logs `steps`, `parameters`, `kept_step`, the step after which the weights were kept, and the curve `loss`; with a
        `validation_split` also the number of images held back as `validation_images`, the curve `validation_loss` and its value at
        the kept step. A single image is not held back: it is both learned from and measured.
        Raises SynthbenchError if the starting weights are missing, are a pickle that may not be opened, or belong to another
        variant, or if the loss is not finite.
        """
        from synthbench_detr.training import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most 100 boxes per image, in pixels of the image file, highest score first."""
        from synthbench_detr.prediction import predict

        return predict(self, fitted, images, run)

    def export(self, fitted: Path, categories: Sequence[str], file: Path, run: Run) -> OnnxInput:
        """Writes an ONNX file that gives the boxes of `predict`. Needs the package `onnx`."""
        from synthbench_detr.exporting import export

        del categories
        return export(self, fitted, file, run)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    """The DETR family."""
    return (Detr,)
