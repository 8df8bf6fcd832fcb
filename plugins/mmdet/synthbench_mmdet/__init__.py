"""Faster R-CNN, DETR and the rest of mmdet's zoo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta
from synthbench import Detector, Environment, Weights, hookimpl, option

if TYPE_CHECKING:
    from synthbench import Boxes, ImageSet, Run

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]

RELEASED_FOR = (
    "torch==2.1.2",
    "torchvision==0.16.2",
    "numpy==1.26.4",
    "opencv-python==4.11.0.86",
    "mmengine==0.10.7",
    "mmdet==3.3.0",
    "safetensors==0.8.0",
    "scipy==1.14.1",
)
"""The versions for which mmdet 3.3.0 was released, except for mmcv."""
ISOLATED = Environment(python="3.11", dependencies=(*RELEASED_FOR, "mmcv-lite==2.1.0"))
COMPILED = Environment(
    python="3.11",
    dependencies=(*RELEASED_FOR, "setuptools==80.10.2", "wheel==0.48.0", "ninja==1.13.2", "mmcv==2.1.0"),
    no_build_isolation=("mmcv",),
    build_variables={"MMCV_WITH_OPS": "1"},
)
"""The same with mmcv's operators, which are compiled for CUDA too if torch finds a GPU."""


@dataclass(frozen=True, kw_only=True)
class Mmdet:
    """A detector of mmdet (Chen et al., arXiv 1906.07155), built from one of mmdet's configs."""

    name: ClassVar[str]
    version: ClassVar[int] = 2
    license: ClassVar[str] = "Apache-2.0"
    renamed_options: ClassVar[Mapping[str, str]] = {"batch": "batch_size", "flip": "horizontal_flip", "zoom": "scale_jitter"}
    replaced_options: ClassVar[Mapping[str, str]] = {
        "epochs": "replaced by 'max_train_steps', the optimizer steps of every training set, whatever its size",
        "min_steps": "replaced by 'max_train_steps', the optimizer steps of every training set, whatever its size",
    }

    config: str
    """The file name of a config in mmdet's zoo, without `.py`, or a preset of this plugin: `small-faster-rcnn`, `small-deformable-detr`."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Dotted paths below `model` and `optim_wrapper`, with their new values, as in
    `{ "model.rpn_head.anchor_generator.scales" = [4] }`."""
    weights: Weights = ""
    """A state dict to start from, of the whole detector or of its backbone: a .safetensors file, a folder with
    `model.safetensors`, a hub id, a .pth file under `--allow-pickle`, or the address of one, as in mmdet's tables. Empty: all
    weights start at random."""
    image_size: Annotated[int, Meta(ge=64)] = 256
    """Pixels; images are resized so that their longer side has this many."""

    max_train_steps: Count
    """Optimizer steps, each on `batch_size` images, whatever the size of the training set. The learning rate's schedule spans them."""
    batch_size: Count = 8
    """Images in one optimizer step."""
    optimizer: Literal["shipped", "adamw", "sgd"] = "shipped"
    """`shipped`: the config's own. `adamw` and `sgd`, which has momentum 0.9, have a weight decay of 0.0001."""
    learning_rate: Positive | None = None
    """Peak: a linear warm-up over the first tenth of the steps, and a cosine decay to zero. None: the config's own, in proportion to
    `batch_size`; 0.001 for `adamw`; for `sgd` 0.02 for 16 images, in proportion to `batch_size`."""
    horizontal_flip: Share = 0.5
    """Probability that a training image is mirrored left to right."""
    scale_jitter: Annotated[float, Meta(ge=1)] = 1.25
    """Each training image is scaled by a random factor between 1 / `scale_jitter` and `scale_jitter`, and cropped to `image_size`."""

    validation_split: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Share of the training images that is held back, which means that nothing is learned from them: the loss on them is measured
    about 20 times during training, and is the learning curve `validation_loss`."""

    isolated: bool = False
    """Run in an environment of its own, with the PyTorch of mmdet's last release."""
    compiled: bool = False
    """Run in such an environment with mmcv's own operators. Making it needs a C++ compiler and some minutes, once."""

    score_threshold: Share = option(0.05, stage="predict")
    """Boxes with a lower score are dropped."""

    def __post_init__(self) -> None:
        """Raises SynthbenchError for a config that neither mmdet nor this plugin has, and for an override that is not allowed."""
        from synthbench_mmdet.overrides import check
        from synthbench_mmdet.zoo import check_name

        check_name(self.config)
        check(self.overrides)

    @property
    def environment(self) -> Environment | None:
        """See `synthbench.contract.hookspecs.Extras`."""
        return COMPILED if self.compiled else ISOLATED if self.isolated else None

    def train(self, data: ImageSet, run: Run) -> None:
        """Writes `model.safetensors` and `model.json`, the resolved config, to `run.workdir`.

        Logs `steps` and the curve `loss`; with a `validation_split` also the number of images held back as `validation_images`, the
        curve `validation_loss` and its last value. A single image is not held back: it is both learned from and measured.
        Raises SynthbenchError if the starting weights are missing or do not fit, an override does not fit the config, the config
        needs more labels than boxes, or the loss is not finite.
        """
        from synthbench_mmdet.training import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most 100 boxes per image, in pixels of the image file, highest score first."""
        from synthbench_mmdet.prediction import predict

        return predict(self, fitted, images, run)


@dataclass(frozen=True, kw_only=True)
class FasterRCNNMmdet(Mmdet):
    """Faster R-CNN (Ren et al., arXiv 1506.01497) as mmdet builds it, or any other config of its zoo."""

    name: ClassVar[str] = "fasterrcnn-mmdet"
    smoke_options: ClassVar[Mapping[str, object]] = {"config": "small-faster-rcnn", "image_size": 64, "max_train_steps": 60}

    config: str = "faster-rcnn_r50_fpn_1x_coco"
    max_train_steps: Count = 240


@dataclass(frozen=True, kw_only=True)
class DETRMmdet(Mmdet):
    """DETR (Carion et al., arXiv 2005.12872) as mmdet builds it, or any other config of its zoo.

    Plain DETR needs `weights` if there are only some hundred images; deformable DETR (arXiv 2010.04159) does not.
    """

    name: ClassVar[str] = "detr-mmdet"
    smoke_options: ClassVar[Mapping[str, object]] = {"config": "small-deformable-detr", "image_size": 64, "max_train_steps": 150}

    config: str = "detr_r50_8xb2-150e_coco"
    max_train_steps: Count = 1000


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    """The two detectors of this distribution, which differ in their defaults."""
    return (FasterRCNNMmdet, DETRMmdet)
