"""torchvision's Faster R-CNN, with backbones that also work without downloads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Detector, SynthbenchError, Weights, hookimpl, option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from synthbench import Boxes, ImageSet, OnnxInput, Run

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class FasterRCNN:
    """Faster R-CNN (Ren et al., arXiv 1506.01497) as torchvision builds it.

    `efficientnet_lite0` and `small` have one feature map, at `stride`; the others are torchvision's feature pyramids.
    Fields named like arguments of torchvision's `FasterRCNN` have the same meaning; None: the backbone's default.
    """

    name: ClassVar[str] = "fasterrcnn"
    version: ClassVar[int] = 2
    license: ClassVar[str] = "Apache-2.0 AND BSD-3-Clause"
    feature_space: ClassVar[str] = "EfficientNet-Lite0 (ImageNet)"
    smoke_options: ClassVar[Mapping[str, object]] = {
        "backbone": "small",
        "image_size": 64,
        "max_train_steps": 60,
        "batch_size": 4,
        "learning_rate": 0.003,
        "rpn_pre_nms_top_n_train": 200,
        "rpn_post_nms_top_n_train": 50,
        "rpn_batch_size_per_image": 64,
        "box_batch_size_per_image": 32,
    }
    renamed_options: ClassVar[Mapping[str, str]] = {
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

    backbone: Literal[
        "efficientnet_lite0", "small", "resnet50_fpn", "resnet50_fpn_v2", "mobilenet_v3_large_fpn", "mobilenet_v3_large_320_fpn"
    ] = "efficientnet_lite0"
    """The network that makes the features. `efficientnet_lite0` needs no download, `small` is quick to train from scratch."""
    weights: Weights = ""
    """A state dict of the whole detector to start from: a .safetensors file, a folder with `model.safetensors`, and, under
    `--allow-pickle`, a .pth file or `torchvision/COCO_V1` from torch hub's folder."""
    imagenet: bool = True
    """Without `weights`: start the backbone from ImageNet (`small` has no such weights)."""
    image_size: Annotated[int, Meta(ge=64)] = 256
    """Pixels; images are resized so that their longer side has this many."""
    stride: Literal[4, 8, 16] = 4
    """Pixels between the features of `efficientnet_lite0` and `small`."""
    anchor_sizes: tuple[Positive, ...] = ()
    """Pixels at `image_size`. Empty: computed from the sizes of the training boxes, or torchvision's own for its backbones."""

    max_train_steps: Count = 240
    """Optimizer steps, each on `batch_size` images, whatever the size of the training set. The learning rate's schedule spans them."""
    batch_size: Count = 8
    """Images in one optimizer step."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """`sgd` has momentum 0.9."""
    learning_rate: Positive | None = None
    """Peak. None: 0.001 for `adamw`; for `sgd` torchvision's 0.02 for 16 images, in proportion to `batch_size`."""
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-4
    """The optimizer's."""
    max_grad_norm: Positive = 5.0
    """Gradients are clipped to this norm."""
    horizontal_flip: Share = 0.5
    """Probability that a training image is mirrored left to right."""
    scale_jitter: Annotated[float, Meta(ge=1)] = 1.25
    """Each training image is scaled by a random factor between 1 / `scale_jitter` and `scale_jitter`, and cropped to `image_size`."""
    validation_split: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Share of the training images that is held back, which means that nothing is learned from them: the loss on them is measured
    about 20 times during training, and is the learning curve `validation_loss`."""
    keep: Literal["best", "last"] = "last"
    """The weights at the end, or those with the lowest loss on the images held back, which needs `validation_split`."""
    mixed_precision: Literal["no", "bf16"] = "bf16"
    """`bf16`: bfloat16 on CUDA. A CPU always computes in float32."""

    rpn_pre_nms_top_n_train: Count | None = None
    """Proposals of each feature map that are kept before NMS, in training."""
    rpn_post_nms_top_n_train: Count | None = None
    """Proposals that are kept after NMS, in training."""
    rpn_batch_size_per_image: Count | None = None
    """Anchors of an image that the proposals' loss is computed on."""
    box_batch_size_per_image: Count | None = None
    """Proposals of an image that the boxes' loss is computed on."""

    rpn_pre_nms_top_n_test: Count | None = option(None, stage="predict")
    """Proposals of each feature map that are kept before NMS."""
    rpn_post_nms_top_n_test: Count | None = option(None, stage="predict")
    """Proposals that are kept after NMS."""
    score_threshold: Share = option(0.05, stage="predict")
    """Boxes with a lower score are dropped."""
    nms_iou: Share = option(0.5, stage="predict")
    """Of two boxes of a category with a higher IoU than this, the one with the lower score is dropped."""

    @property
    def trained_on(self) -> Mapping[str, str]:
        """ImageNet, where the backbone starts from it."""
        return {"imagenet": "ImageNet (the backbone)"} if self.imagenet and not self.weights and self.backbone != "small" else {}

    def __post_init__(self) -> None:
        """Raises SynthbenchError for options that contradict each other."""
        if self.keep == "best" and self.validation_split == 0:
            raise SynthbenchError(
                'validation_split: keep = "best" needs images to compare steps on; set validation_split above 0, or keep = "last"'
            )

    def train(self, data: ImageSet, run: Run) -> None:
        """Writes `model.safetensors` and `model.json` to `run.workdir`.

        Logs `steps`, the curve `loss` and, with a `validation_split`, the number of images held back as `validation_images`, the
        curve `validation_loss`, its lowest value, and the step after which it was reached as `best_step`. A single image is not held
        back: it is both learned from and measured.
        Raises SynthbenchError if the starting weights are missing or do not fit, or the loss is not finite.
        """
        from synthbench_fasterrcnn.train import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most 100 boxes per image, in pixels of the image file, highest score first."""
        from synthbench_fasterrcnn.predict import predict

        return predict(self, fitted, images, run)

    def export(self, fitted: Path, categories: Sequence[str], file: Path, run: Run) -> OnnxInput:
        """Writes an ONNX file that gives the boxes of `predict`. Needs the package `onnx`."""
        from synthbench_fasterrcnn.exporting import export

        del categories, run
        return export(self, fitted, file)

    def features(self, images: ImageSet, run: Run) -> Iterator[NDArray[np.float32]]:
        """Yields 1,280 values per image, of EfficientNet-Lite0 with ImageNet's weights, whatever the options are."""
        from synthbench_fasterrcnn.features import features

        return features(images, run)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    """Faster R-CNN."""
    return (FasterRCNN,)
