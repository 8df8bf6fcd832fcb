"""YOLOX as a synthbench detector. Its library needs packages of 2021, so it runs in an environment of its own."""

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
    """YOLOX (Ge et al., arXiv 2107.08430), in its authors' own code. Defaults are theirs unless an option's text says otherwise."""

    name: ClassVar[str] = "yolox"
    version: ClassVar[int] = 2
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
        # Its setup.py imports torch, and compiles an extension for evaluation, which is not used here.
        no_build_isolation=("yolox",),
        # Needed only to export models, in versions without wheels for Python 3.10 or later.
        overrides=tuple(f"{package}; python_version < '3'" for package in ("onnx", "onnxruntime", "onnx-simplifier")),
    )
    smoke_options: ClassVar[Mapping[str, object]] = {
        "image_size": 64,
        "max_train_steps": 168,
        "batch_size": 4,
        "learning_rate": 0.004,
        "mosaic": 0.0,
    }
    renamed_options: ClassVar[Mapping[str, str]] = {"batch": "batch_size", "flip": "horizontal_flip"}
    replaced_options: ClassVar[Mapping[str, str]] = {
        "epochs": "replaced by 'max_train_steps', the optimizer steps of every training set, whatever its size",
        "min_steps": "replaced by 'max_train_steps', the optimizer steps of every training set, whatever its size",
    }

    model: Literal["yolox-nano", "yolox-tiny", "yolox-s", "yolox-m", "yolox-l", "yolox-x"] = "yolox-tiny"
    """`yolox-nano` has fewer weights, but needs more steps, which are no faster on a CPU."""
    weights: Weights = ""
    """A `.safetensors` file, a folder with `model.safetensors`, a hub id, or a `.pth` file under `--allow-pickle`."""
    image_size: Annotated[int, Meta(ge=64, multiple_of=32)] = 640
    """Pixels; images are scaled to it by their longer side and padded to a square."""

    max_train_steps: Count = 2000
    """Optimizer steps, each on `batch_size` images, whatever the size of the training set. The learning rate's schedule spans them."""
    batch_size: Count = 8
    """Images in one optimizer step."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """The authors use SGD with Nesterov momentum, which needs many more steps from scratch."""
    learning_rate: Annotated[float, Meta(gt=0)] | None = None
    """Peak. None: 0.002 for `adamw`; for `sgd` the authors' 0.01 for 64 images, in proportion to `batch_size`."""
    weight_decay: Annotated[float, Meta(ge=0)] = 5e-4
    """The optimizer's."""
    warmup_share: Share = 0.05
    """Share of the steps over which the learning rate rises."""
    plain_share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    """Share of the steps, at the end, without mosaics and mixup, in which the loss also has the L1 distance of boxes."""
    mosaic: Share = 1.0
    """Probability that a training image is a mosaic of four."""
    mosaic_scale: tuple[Annotated[float, Meta(gt=0)], Annotated[float, Meta(gt=0)]] = (0.5, 1.5)
    """Smallest and largest factor by which mosaics are scaled. With the authors' (0.1, 2) for the larger models small objects shrink to
    almost nothing."""
    mixup: Share = 0.0
    """Probability that a mosaic is mixed with another image. The authors' value is 1 for the larger models, and 0 for the small ones."""
    horizontal_flip: Share = 0.5
    """Probability that a training image is mirrored left to right."""
    validation_split: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Share of the training images that is held back, which means that nothing is learned from them: the loss on them is measured
    about 20 times during training, and is the learning curve `validation_loss`."""

    score_threshold: Share = option(0.01, stage="predict")
    """Boxes with a lower score are dropped."""
    nms_iou: Share = option(0.65, stage="predict")
    """Of two boxes of a category with a higher IoU than this, the one with the lower score is dropped."""

    def train(self, data: ImageSet, run: Run) -> None:
        """Writes `model.safetensors` (float32, the moving average of the weights) and `model.json` to `run.workdir`.

        Logs `steps` and the curve `loss`; with a `validation_split` also the number of images held back as `validation_images`, the
        curve `validation_loss` and its last value. A single image is not held back: it is both learned from and measured.
        Raises SynthbenchError if the starting weights do not fit, or the loss is not finite.
        """
        from synthbench_yolox.train import train

        train(self, data, run)

    def predict(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Yields at most 100 boxes per image, in pixels of the image file, highest score first."""
        from synthbench_yolox.predict import predict

        return predict(self, fitted, images, run)


@hookimpl
def synthbench_detectors() -> Sequence[type[Detector]]:
    """YOLOX."""
    return (YOLOX,)
