"""YOLOv8 as a synthbench detector, trained by ultralytics (AGPL-3.0, and so is this folder)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Detector, Weights, hookimpl, option

if TYPE_CHECKING:
    from synthbench import Boxes, ImageSet, Run

Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class YOLOv8:
    """YOLOv8 in one of its five sizes. Defaults are ultralytics' own for AdamW unless a comment says otherwise."""

    name: ClassVar[str] = "yolov8"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "AGPL-3.0-only"
    smoke_options: ClassVar[Mapping[str, object]] = {
        "image_size": 64,
        "epochs": 14,
        "batch": 4,
        "learning_rate": 0.005,
        "warmup_epochs": 1.0,
        "mosaic": 0.0,
        "validation": 0.0,
    }

    model: Literal["yolov8n", "yolov8s", "yolov8m", "yolov8l", "yolov8x"] = "yolov8n"
    weights: Weights = ""
    """A `.safetensors` file, a folder with `model.safetensors`, or a `.pt` file under `--allow-pickle`."""
    image_size: Annotated[int, Meta(ge=64, multiple_of=32)] = 640
    """Pixels; images are scaled to it by their longer side and padded to a square."""
    epochs: Annotated[int, Meta(ge=1)] = 100
    min_steps: Annotated[int, Meta(ge=0)] = 0
    """Small training sets are gone through more often, until this many steps are reached."""
    batch: Annotated[int, Meta(ge=1)] = 16
    optimizer: Literal["AdamW", "SGD", "MuSGD"] = "AdamW"
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.002
    """What ultralytics takes for AdamW and one category; SGD wants about 0.01."""
    final_learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.01
    """The last epoch's rate as a share of `learning_rate`, reached in a straight line."""
    weight_decay: Share = 0.0005
    warmup_epochs: Annotated[float, Meta(ge=0)] = 3.0
    mosaic: Share = 1.0
    """How often four images are put together into one."""
    close_mosaic: Annotated[int, Meta(ge=0)] = 10
    """The number of last epochs without mosaics."""
    flip_horizontal: Share = 0.5
    flip_vertical: Share = 0.0
    mixed_precision: bool = True
    """bfloat16 on CUDA; a CPU always computes in float32."""
    validation: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    """Share of the training set held back to choose the best epoch; 0 keeps the last."""
    keep: Literal["best", "last"] = "best"
    score_threshold: Share = option(0.001, stage="predict")
    nms_iou: Share = option(0.7, stage="predict")

    def train(self, data: ImageSet, run: Run) -> None:
        """Leaves `model.safetensors` (float32, the moving average of the weights) and `model.json` in `run.workdir`.

        Raises SynthbenchError where no picture has a box, the starting weights do not fit, or the loss is not finite.
        """
        from synthbench_yolov8.training import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most 100 boxes an image, in pixels of the image file, best score first."""
        from synthbench_yolov8.prediction import predict

        return predict(self, fitted, images, run)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    """The detector of this distribution."""
    return (YOLOv8,)
