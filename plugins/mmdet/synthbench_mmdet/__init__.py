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
"""What mmdet 3.3.0 was released for, mmcv apart."""
ISOLATED = Environment(python="3.11", dependencies=(*RELEASED_FOR, "mmcv-lite==2.1.0"))
COMPILED = Environment(
    python="3.11",
    dependencies=(*RELEASED_FOR, "setuptools==80.10.2", "wheel==0.48.0", "ninja==1.13.2", "mmcv==2.1.0"),
    no_build_isolation=("mmcv",),
    build_variables={"MMCV_WITH_OPS": "1"},
)
"""The same with mmcv's operators, which are compiled for CUDA as well where torch sees a GPU."""


@dataclass(frozen=True, kw_only=True)
class Mmdet:
    """A detector of mmdet's (Chen et al., arXiv 1906.07155), from a config that it ships."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"

    config: str
    """A config of mmdet's zoo by its file's name without `.py`, or one of ours: `small-faster-rcnn`, `small-deformable-detr`."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Dotted paths below `model` and `optim_wrapper`, with what to set there, as in
    `{ "model.rpn_head.anchor_generator.scales" = [4] }`."""
    weights: Weights = ""
    """A state dict to start from, of the whole detector or of its backbone: a .safetensors file, a folder with
    `model.safetensors`, a hub id, a .pth file under `--allow-pickle`, or either by an address of mmdet's tables. Without any,
    everything begins at random."""
    image_size: Annotated[int, Meta(ge=64)] = 256
    """Pixels of the longer side, to which images are resized."""

    epochs: Count
    min_steps: Annotated[int, Meta(ge=0)] = 0
    """Small training sets are gone through more often, until this many steps are reached."""
    batch: Count = 8
    optimizer: Literal["shipped", "adamw", "sgd"] = "shipped"
    """The config's own; or AdamW, or SGD with momentum 0.9, with a weight decay of 0.0001."""
    learning_rate: Positive | None = None
    """Peak; it rises over the first tenth of the steps and falls to nothing along a cosine. None: the config's own, in proportion
    to `batch`; 0.001 for `adamw`; for `sgd` 0.02 for 16 images, in proportion to `batch`."""
    flip: Share = 0.5
    """Share of training images mirrored."""
    zoom: Annotated[float, Meta(ge=1)] = 1.25
    """Training images are scaled by up to this factor, up (a random crop) or down."""

    isolated: bool = False
    """Runs in an environment of its own, with the PyTorch of mmdet's last release."""
    compiled: bool = False
    """Runs in such an environment with mmcv's own operators, which takes a C++ compiler and some time, once."""

    score_threshold: Share = option(0.05, stage="predict")

    def __post_init__(self) -> None:
        """Raises SynthbenchError for a config that mmdet does not ship, and for what a suite may not change in it."""
        from synthbench_mmdet.overrides import check
        from synthbench_mmdet.zoo import check_name

        check_name(self.config)
        check(self.overrides)

    @property
    def environment(self) -> Environment | None:
        """See `synthbench.contract.hookspecs.Extras`."""
        return COMPILED if self.compiled else ISOLATED if self.isolated else None

    def train(self, data: ImageSet, run: Run) -> None:
        """Trains and leaves `model.safetensors` and `model.json`, the resolved config.

        Raises SynthbenchError for weights that are not there, overrides that do not fit, and configs that learn from more than boxes.
        """
        from synthbench_mmdet.training import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most 100 boxes an image, best first."""
        from synthbench_mmdet.prediction import predict

        return predict(self, fitted, images, run)


@dataclass(frozen=True, kw_only=True)
class FasterRCNNMmdet(Mmdet):
    """Faster R-CNN (Ren et al., arXiv 1506.01497) as mmdet builds it, or any other config of its zoo."""

    name: ClassVar[str] = "fasterrcnn-mmdet"
    smoke_options: ClassVar[Mapping[str, object]] = {"config": "small-faster-rcnn", "image_size": 64, "epochs": 20}

    config: str = "faster-rcnn_r50_fpn_1x_coco"
    epochs: Count = 12


@dataclass(frozen=True, kw_only=True)
class DETRMmdet(Mmdet):
    """DETR (Carion et al., arXiv 2005.12872) as mmdet builds it, or any other config of its zoo.

    Plain DETR needs `weights` where there are only some hundred images; deformable DETR (arXiv 2010.04159) does not.
    """

    name: ClassVar[str] = "detr-mmdet"
    smoke_options: ClassVar[Mapping[str, object]] = {"config": "small-deformable-detr", "image_size": 64, "epochs": 50}

    config: str = "detr_r50_8xb2-150e_coco"
    epochs: Count = 50


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    """mmdet's detectors, by the kind of their default."""
    return (FasterRCNNMmdet, DETRMmdet)
