"""torchvision's Faster R-CNN, with backbones that a machine without a hub has too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Detector, Weights, hookimpl, option

if TYPE_CHECKING:
    from synthbench import Boxes, ImageSet, Run

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class FasterRCNN:
    """Faster R-CNN (Ren et al., arXiv 1506.01497) as torchvision builds it.

    `efficientnet_lite0` and `small` give one feature map at `stride`; the others are torchvision's pyramids.
    Fields named as arguments of torchvision's `FasterRCNN` mean what they mean there; None: the backbone's default.
    """

    name: ClassVar[str] = "fasterrcnn"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0 AND BSD-3-Clause"
    smoke_options: ClassVar[Mapping[str, object]] = {
        "backbone": "small",
        "image_size": 64,
        "epochs": 10,
        "batch": 4,
        "learning_rate": 0.003,
        "validation": 0.0,
        "rpn_pre_nms_top_n_train": 200,
        "rpn_post_nms_top_n_train": 50,
        "rpn_batch_size_per_image": 64,
        "box_batch_size_per_image": 32,
    }

    backbone: Literal[
        "efficientnet_lite0", "small", "resnet50_fpn", "resnet50_fpn_v2", "mobilenet_v3_large_fpn", "mobilenet_v3_large_320_fpn"
    ] = "efficientnet_lite0"
    weights: Weights = ""
    """A state dict of the whole detector to start from: a .safetensors file, a folder with `model.safetensors`, and, under
    `--allow-pickle`, a .pth file or `torchvision/COCO_V1` from torch hub's folder."""
    imagenet: bool = True
    """Without `weights`: start the backbone from ImageNet (`small` has no such weights)."""
    image_size: Annotated[int, Meta(ge=64)] = 256
    """Pixels of the longer side, to which images are resized."""
    stride: Literal[4, 8, 16] = 4
    """Pixels between the features of `efficientnet_lite0` and `small`."""
    anchor_sizes: tuple[Positive, ...] = ()
    """Pixels at `image_size`. Empty: from the training boxes' sizes; torchvision's own for its backbones."""

    epochs: Count = 12
    min_steps: Annotated[int, Meta(ge=0)] = 0
    """Small training sets are gone through more often, until this many steps are reached."""
    batch: Count = 8
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive | None = None
    """Peak. None: 0.001 for AdamW; for SGD torchvision's 0.02 for 16 images, in proportion to `batch`."""
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-4
    gradient_norm: Positive = 5.0
    """Gradients are clipped to this norm."""
    flip: Share = 0.5
    """Share of training images mirrored."""
    zoom: Annotated[float, Meta(ge=1)] = 1.25
    """Training images are scaled by up to this factor, up or down."""
    validation: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    """Share of the training set held back for the validation loss; 0: none."""
    keep: Literal["best", "last"] = "last"
    """The last epoch's weights, at which the learning rate has come down, or those of the lowest validation loss."""
    mixed_precision: bool = True
    """bfloat16 on CUDA; a CPU always computes in float32."""

    rpn_pre_nms_top_n_train: Count | None = None
    rpn_post_nms_top_n_train: Count | None = None
    rpn_batch_size_per_image: Count | None = None
    box_batch_size_per_image: Count | None = None

    rpn_pre_nms_top_n_test: Count | None = option(None, stage="predict")
    rpn_post_nms_top_n_test: Count | None = option(None, stage="predict")
    score_threshold: Share = option(0.05, stage="predict")
    nms_iou: Share = option(0.5, stage="predict")

    def train(self, data: ImageSet, run: Run) -> None:
        """Trains and leaves `model.safetensors` and `model.json`. Raises SynthbenchError for weights that are not there."""
        from synthbench_fasterrcnn.train import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most 100 boxes an image, best first."""
        from synthbench_fasterrcnn.predict import predict

        return predict(self, fitted, images, run)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    """Faster R-CNN."""
    return (FasterRCNN,)
