"""Training with ultralytics' own trainer, without its files, its pickles and its progress bar."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from synthbench import SynthbenchError
from torch import Tensor

from synthbench_yolov8.dataset import write_dataset
from synthbench_yolov8.library import DetectionModel, DetectionTrainer, architecture, contained
from synthbench_yolov8.weights import save, start_from

if TYPE_CHECKING:
    from synthbench import ImageSet, Run

    from synthbench_yolov8 import YOLOv8

DEFAULT_SPLIT = 0.2  # share held back where `keep = "best"` needs one and `validation_split` does not say it
OPTIMIZERS = {"adamw": "AdamW", "sgd": "SGD", "musgd": "MuSGD"}  # ultralytics' names


def train(options: YOLOv8, data: ImageSet, run: Run) -> None:
    """See `YOLOv8.train`."""
    training, validation, keep = _split(options, data, run)
    with tempfile.TemporaryDirectory(dir=run.workdir) as folder, contained(run, folder):
        scratch = Path(folder)
        dataset = write_dataset(scratch / "data", training, validation, options.image_size, run)
        epochs = max(options.epochs, math.ceil(options.min_steps / math.ceil(len(training) / options.batch_size)))
        arguments = _arguments(options, run, scratch / "run", epochs, validate=len(validation) > 0)
        trainer = Trainer(options, run, arguments, dataset, keep=keep, validate=len(validation) > 0)
        trainer.train()
    save(run.workdir, trainer.kept, options.model, data.categories)
    if len(validation):
        run.log_metrics(validation_images=len(validation))
    run.log_metrics(epochs=epochs, kept_epoch=trainer.kept_epoch, **trainer.validation_ap)


def _split(options: YOLOv8, data: ImageSet, run: Run) -> tuple[ImageSet, ImageSet, str]:
    """The images to train on, those held back, and which epoch to keep."""
    if not _labelled(data):
        raise SynthbenchError(f"training set: none of its {len(data)} images has a box, so there is nothing to learn; check its labels")
    share = options.validation_split
    if share is None:
        share = DEFAULT_SPLIT if options.keep == "best" else 0.0
    training, validation = data.split(share, run.seed)
    if not len(validation) or (_labelled(training) and _labelled(validation) and len(data) > 1):
        return training, validation, options.keep
    run.note("yolov8: too few images with boxes to hold any back, so it trains on all of them and keeps the last epoch")
    return data, data[:0], "last"


def _labelled(data: ImageSet) -> bool:
    return any(picture.boxes is not None and not picture.boxes.crowd.all() for picture in data)


def _arguments(options: YOLOv8, run: Run, folder: Path, epochs: int, *, validate: bool) -> dict[str, object]:
    """The arguments of ultralytics' trainer, by its names."""
    adaptive = options.optimizer == "adamw"
    cuda = run.device.startswith("cuda")
    return {
        "task": "detect",
        "model": f"{options.model}.yaml",
        "save_dir": str(folder),
        "device": run.device,
        "workers": run.threads if cuda else 0,
        "seed": run.seed,
        "deterministic": True,
        # bfloat16 by name: for True, ultralytics downloads a model to test float16 with.
        "amp": "bf16" if cuda and options.mixed_precision == "bf16" else False,
        "pretrained": False,
        "verbose": False,
        "plots": False,
        "val": validate,
        "patience": epochs,  # no early stopping
        "imgsz": options.image_size,
        "epochs": epochs,
        "batch": options.batch_size,
        "nbs": options.batch_size,  # a step for each batch: with ultralytics' 64, a small set would get one step an epoch
        "optimizer": OPTIMIZERS[options.optimizer],
        "lr0": options.learning_rate,
        "lrf": options.final_learning_rate_factor,
        "weight_decay": options.weight_decay,
        "warmup_epochs": options.warmup_epochs,
        # What ultralytics' own `optimizer="auto"` uses with AdamW; its defaults are meant for SGD.
        "momentum": 0.9 if adaptive else 0.937,
        "warmup_bias_lr": 0.0 if adaptive else 0.1,
        "mosaic": options.mosaic,
        "close_mosaic": options.close_mosaic,
        "fliplr": options.horizontal_flip,
        "flipud": options.vertical_flip,
        "augmentations": [],  # the default depends on whether albumentations is installed
    }


class Trainer(DetectionTrainer):  # type: ignore[misc]
    """Keeps the weights in memory instead of in pickles, and reports its progress to the run."""

    def __init__(
        self, options: YOLOv8, run: Run, arguments: dict[str, object], dataset: dict[str, object], *, keep: str, validate: bool
    ) -> None:
        self._options, self._run, self._dataset, self._keep, self._validate = options, run, dataset, keep, validate
        self._ticks: Iterator[int] = iter(())
        super().__init__(overrides=arguments)
        self.kept: dict[str, Tensor] = {}
        self.kept_epoch = 0
        self.validation_ap: dict[str, float] = {}
        self.add_callback("on_train_start", Trainer._started)
        self.add_callback("on_train_batch_end", Trainer._stepped)

    def _started(self) -> None:
        torch.set_num_threads(self._run.threads)  # ultralytics has set it to the number of cores
        steps = len(self.train_loader) * self.epochs
        self._ticks = iter(self._run.track(range(steps), "train", unit="steps"))
        next(self._ticks, None)

    def _stepped(self) -> None:
        self._run.show_metrics(loss=float(sum(self.tloss.values())))
        next(self._ticks, None)

    def get_dataset(self) -> dict[str, object]:
        """The data set that was written; ultralytics' own method begins by downloading a font for plots."""
        return self._dataset

    def get_model(self, **ignored: object) -> DetectionModel:  # noqa: ARG002 - ultralytics' choice of a model and weights
        """The model, at random or with the starting weights."""
        model = DetectionModel(architecture(self._options.model), nc=self.data["nc"], verbose=False)
        if self._options.weights:
            start_from(self._options.weights, model, self._run)
        return model

    def validate(self) -> tuple[dict[str, float], float]:
        """Metrics and fitness (AP) on the images held back; nothing is measured if there are none."""
        if not self._validate:
            return {}, 0.0
        metrics, fitness = super().validate()
        self._run.show_metrics(AP50=metrics["metrics/mAP50(B)"])
        return metrics, fitness

    def save_model(self) -> bool:
        """Keeps the moving average of the weights if this epoch is, so far, the one to keep."""
        kept = self.epoch + 1 >= self.epochs if self._keep == "last" else self.fitness == self.best_fitness
        if kept:
            state = self.ema.ema.state_dict()
            self.kept = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}
            self.kept_epoch = self.epoch + 1
            measured = {"validation_ap50": "metrics/mAP50(B)", "validation_ap": "metrics/mAP50-95(B)"}
            self.validation_ap = {name: float(self.metrics[key]) for name, key in measured.items() if self._validate}
        return True

    def final_eval(self) -> None:
        """Does nothing: ultralytics would read a checkpoint, which is not written, and measure the best epoch again."""
