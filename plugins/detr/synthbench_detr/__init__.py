"""The DETR family, as transformers builds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Boxes, ImageSet, Run, Weights, hookimpl, option

if TYPE_CHECKING:
    from synthbench import Detector

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Detr:
    """Set prediction with transformers: DETR (Carion et al., arXiv 2005.12872) and what grew from it.

    Conditional DETR: arXiv 2108.06152; deformable DETR, with box refinement: 2010.04159; RT-DETR: 2304.08069.
    Plain DETR needs `weights` where there are only some hundred images; the other three were made to learn sooner.
    """

    name: ClassVar[str] = "detr"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    smoke_options: ClassVar[Mapping[str, object]] = {
        "weights": "small-detr",
        "image_size": 64,
        "epochs": 20,
        "learning_rate": 0.001,
        "validation": 0.0,
    }

    variant: Literal["detr", "conditional-detr", "deformable-detr", "rt-detr"] = "detr"
    weights: Weights = ""
    """A checkpoint in transformers' form to start from: a folder, or a hub id that was downloaded before."""

    width: Annotated[int, Meta(ge=32, multiple_of=32)] = 64
    """Without `weights`: channels of the transformer. So for `layers`, `queries` and `stride`."""
    layers: Annotated[int, Meta(ge=2)] = 2
    """Layers of the encoder (RT-DETR has always one there) and of the decoder. transformers builds no deformable DETR with one."""
    queries: Count = 40
    """Objects that an image can hold at most."""
    stride: Literal[8, 16, 32] = 8
    """Pixels between features. Deformable and RT-DETR take two coarser levels in addition."""

    image_size: Annotated[int, Meta(ge=64, multiple_of=32)] = 256
    """Images are stretched to squares of this many pixels, boxes with them, as RT-DETR does."""
    epochs: Count = 50
    min_steps: Annotated[int, Meta(ge=0)] = 0
    """Small training sets are gone through more often, until this many steps are reached."""
    batch: Count = 8
    learning_rate: Positive = 5e-4
    """Peak, for AdamW; it rises over the first tenth of the steps and falls to nothing along a cosine."""
    backbone_rate: NotNegative = 1.0
    """Factor on the learning rate of the backbone; 0 leaves it as it is. The paper: 0.1 with ImageNet weights."""
    weight_decay: NotNegative = 1e-4
    gradient_norm: Positive = 0.1
    """Gradients are clipped to this norm."""
    flip: Share = 0.5
    """Share of training images mirrored."""
    zoom: Annotated[float, Meta(ge=1)] = 1.25
    """Training images are scaled by up to this factor, up (a random crop) or down, and moved."""
    validation: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    """Share of the training set held back for the validation loss; 0: none."""
    keep: Literal["best", "last"] = "last"
    """The weights of the epoch with the lowest validation loss, or the last epoch's."""
    amp: bool = False
    """On a GPU: train in bfloat16 where that is safe."""

    score_threshold: Share = option(0.01, stage="predict")

    def train(self, data: ImageSet, run: Run) -> None:
        """Trains and leaves `config.json` and `model.safetensors`.

        Raises SynthbenchError for weights that are not there, that are pickles, or of another variant.
        """
        from synthbench_detr.training import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most 100 boxes an image, best first."""
        from synthbench_detr.prediction import predict

        return predict(self, fitted, images, run)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    """The DETR family."""
    return (Detr,)
