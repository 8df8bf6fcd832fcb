"""YOLOX as a synthbench detector. Its library wants packages of 2021, so it runs in an environment of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Detector, Environment, Weights, hookimpl, option

if TYPE_CHECKING:
    from synthbench import Boxes, ImageSet, Run

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, kw_only=True)
class YOLOX:
    """YOLOX (Ge et al., arXiv 2107.08430), in its authors' own code. Defaults are theirs unless a comment says otherwise."""

    name: ClassVar[str] = "yolox"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    environment: ClassVar[Environment] = Environment(
        python="3.11",  # the last for which there are wheels of this torch
        dependencies=(
            "torch==2.1.2",
            "torchvision==0.16.2",
            "numpy==1.26.4",
            "opencv-python==4.11.0.86",
            "pycocotools==2.0.11",
            "safetensors==0.8.0",
            "thop==0.1.1.post2209072238",
            "ninja==1.13.2",
            "setuptools==80.10.2",
            "wheel==0.48.0",
            "yolox==0.3.0",
        ),
        # Its setup.py imports torch, and builds an evaluation that is not used here.
        no_build_isolation=("yolox",),
        # Wanted for exporting alone, in versions of which there are no wheels for Python 3.10 or later.
        overrides=tuple(f"{package}; python_version < '3'" for package in ("onnx", "onnxruntime", "onnx-simplifier")),
    )
    smoke_options: ClassVar[Mapping[str, object]] = {"image_size": 64, "epochs": 28, "batch": 4, "learning_rate": 0.004, "mosaic": 0.0}

    model: Literal["yolox-nano", "yolox-tiny", "yolox-s", "yolox-m", "yolox-l", "yolox-x"] = "yolox-tiny"
    """`yolox-nano` has fewer weights, but learns in more steps, which are no quicker on a processor."""
    weights: Weights = ""
    """A `.safetensors` file, a folder with `model.safetensors`, a hub id, or a `.pth` file under `--allow-pickle`."""
    image_size: Annotated[int, Meta(ge=64, multiple_of=32)] = 640
    """Pixels; images are scaled to it by their longer side and padded to a square."""

    epochs: Count = 100
    """The authors took 300, for COCO."""
    min_steps: Annotated[int, Meta(ge=0)] = 0
    """Small training sets are gone through more often, until this many steps are reached."""
    batch: Count = 8
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """The authors took SGD with Nesterov's momentum, which needs many more steps from scratch."""
    learning_rate: Annotated[float, Meta(gt=0)] | None = None
    """Peak. None: 0.002 for AdamW; for SGD the authors' 0.01 for 64 images, in proportion to `batch`."""
    weight_decay: Annotated[float, Meta(ge=0)] = 5e-4
    warmup_share: Share = 0.05
    """Share of the steps over which the learning rate rises."""
    plain_share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    """Share of the steps, the last ones, without mosaics and mixtures; boxes are learned by their L1 distance, too, then."""
    mosaic: Share = 1.0
    """How often four images are put together into one."""
    mosaic_scale: tuple[Annotated[float, Meta(gt=0)], Annotated[float, Meta(gt=0)]] = (0.5, 1.5)
    """By how much mosaics are scaled; the authors' (0.1, 2) for the larger models leaves little of small objects."""
    mixup: Share = 0.0
    """How often a mosaic is mixed with another image; the authors' 1 for the larger models, none for the small ones."""
    flip: Share = 0.5
    """Share of training images mirrored."""

    score_threshold: Share = option(0.01, stage="predict")
    nms_iou: Share = option(0.65, stage="predict")

    def train(self, data: ImageSet, run: Run) -> None:
        """Leaves `model.safetensors` (float32, the moving average of the weights) and `model.json` in `run.workdir`.

        Raises SynthbenchError where the starting weights do not fit, or the loss is not finite.
        """
        from synthbench_yolox.train import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most 100 boxes an image, in pixels of the image file, best score first."""
        from synthbench_yolox.predict import predict

        return predict(self, fitted, images, run)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    """YOLOX."""
    return (YOLOX,)
