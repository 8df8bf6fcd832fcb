"""YOLOv8 as a synthbench detector, trained by ultralytics (AGPL-3.0, and so is this folder)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Detector, SynthbenchError, Weights, hookimpl, option

if TYPE_CHECKING:
    from synthbench import Boxes, ImageSet, OnnxInput, Run

Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class YOLOv8:
    """YOLOv8 in one of its five sizes. Defaults are ultralytics' own for AdamW unless an option's text says otherwise."""

    name: ClassVar[str] = "yolov8"
    version: ClassVar[int] = 2
    license: ClassVar[str] = "AGPL-3.0-only"
    smoke_options: ClassVar[Mapping[str, object]] = {
        "image_size": 64,
        "max_train_steps": 120,
        "batch_size": 4,
        "learning_rate": 0.005,
        "warmup_share": 0.07,
        "mosaic": 0.0,
    }
    renamed_options: ClassVar[Mapping[str, str]] = {
        "batch": "batch_size",
        "final_learning_rate": "final_learning_rate_factor",
        "flip_horizontal": "horizontal_flip",
        "flip_vertical": "vertical_flip",
        "validation": "validation_split",
    }
    replaced_options: ClassVar[Mapping[str, str]] = {
        "epochs": "replaced by 'max_train_steps', the optimizer steps of every training set, whatever its size",
        "min_steps": "replaced by 'max_train_steps', the optimizer steps of every training set, whatever its size",
        "warmup_epochs": "replaced by 'warmup_share', the share of the steps in which the learning rate rises",
        "close_mosaic": "replaced by 'close_mosaic_share', the share of the steps, at the end, without mosaics",
    }

    model: Literal["yolov8n", "yolov8s", "yolov8m", "yolov8l", "yolov8x"] = "yolov8n"
    """The size, from nano to extra large."""
    weights: Weights = ""
    """Starting weights: a `.safetensors` file, a folder with `model.safetensors`, a hub id, an address, or a `.pt` file under
    `--allow-pickle`. Empty: all weights start at random."""
    image_size: Annotated[int, Meta(ge=64, multiple_of=32)] = 640
    """Pixels; images are scaled to it by their longer side and padded to a square."""
    max_train_steps: Annotated[int, Meta(ge=1)] = 1000
    """Optimizer steps, each on `batch_size` images, whatever the size of the training set. The learning rate's schedule spans them."""
    batch_size: Annotated[int, Meta(ge=1)] = 16
    """Images in one optimizer step."""
    optimizer: Literal["adamw", "sgd", "musgd"] = "adamw"
    """ultralytics' optimizers of these names."""
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.002
    """ultralytics' own value for AdamW and one category; use about 0.01 with `sgd` and `musgd`."""
    final_learning_rate_factor: Annotated[float, Meta(gt=0, le=1)] = 0.01
    """The last step's learning rate as a share of `learning_rate`; the decay is linear."""
    weight_decay: Share = 0.0005
    """The optimizer's."""
    warmup_share: Share = 0.03
    """Share of the steps in which the learning rate rises; ultralytics' own default is 3 of 100 epochs."""
    mosaic: Share = 1.0
    """Probability that a training image is a mosaic of four."""
    close_mosaic_share: Share = 0.1
    """Share of the steps, at the end, without mosaics; ultralytics' own default is 10 of 100 epochs."""
    horizontal_flip: Share = 0.5
    """Probability that a training image is mirrored left to right."""
    vertical_flip: Share = 0.0
    """Probability that a training image is mirrored top to bottom."""
    mixed_precision: Literal["no", "bf16"] = "bf16"
    """`bf16`: bfloat16 on CUDA. A CPU always computes in float32."""
    validation_split: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Share of the training images that is held back, which means that nothing is learned from them: the loss and AP on them are
    measured about 20 times during training, and are the learning curves `validation_loss` and `validation_ap`."""
    keep: Literal["best", "last"] = "last"
    """The weights at the end, or those with the highest AP on the images held back, which needs `validation_split`."""
    score_threshold: Share = option(0.001, stage="predict")
    """Boxes with a lower score are dropped."""
    nms_iou: Share = option(0.7, stage="predict")
    """Of two boxes of a category with a higher IoU than this, the one with the lower score is dropped."""

    def __post_init__(self) -> None:
        """Raises SynthbenchError for options that contradict each other."""
        if self.keep == "best" and self.validation_split == 0:
            raise SynthbenchError(
                'validation_split: keep = "best" needs images to compare steps on; set validation_split above 0, or keep = "last"'
            )

    def train(self, data: ImageSet, run: Run) -> None:
        """Writes `model.safetensors` (float32, the moving average of the weights) and `model.json` to `run.workdir`.

        Logs `steps`, `kept_step`, the step after which the weights were kept, and the curve `loss`; where images were held back, also
        their number as `validation_images`, the curves `validation_loss` and `validation_ap`, and `validation_ap50` and
        `validation_ap` at the kept step.
        Raises SynthbenchError if no image has a box, the starting weights do not fit, or the loss is not finite.
        """
        from synthbench_yolov8.training import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most 100 boxes per image, in pixels of the image file, highest score first."""
        from synthbench_yolov8.prediction import predict

        return predict(self, fitted, images, run)

    def export(self, fitted: Path, categories: Sequence[str], file: Path, run: Run) -> OnnxInput:
        """Writes an ONNX file that gives the boxes of `predict`. Needs the package `onnx`."""
        from synthbench_yolov8.exporting import export

        del categories
        return export(self, fitted, file, run)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    """The detector of this distribution."""
    return (YOLOv8,)
