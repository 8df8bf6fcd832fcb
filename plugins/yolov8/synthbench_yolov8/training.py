"""Training: ultralytics' own trainer, with its files, its pickles and its bar taken away."""

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


def train(options: YOLOv8, data: ImageSet, run: Run) -> None:
    """See `YOLOv8.train`."""
    learnt, held, keep = _split(options, data, run)
    with tempfile.TemporaryDirectory(dir=run.workdir) as made, contained(run, made):
        scratch = Path(made)
        described = write_dataset(scratch / "data", learnt, held, options.image_size, run)
        epochs = max(options.epochs, math.ceil(options.min_steps / math.ceil(len(learnt) / options.batch)))
        arguments = _arguments(options, run, scratch / "run", epochs, validate=keep == "best")
        trainer = Trainer(options, run, arguments, described, keep=keep, validated=len(held) > 0)
        trainer.train()
    save(run.workdir, trainer.kept, options.model, data.categories)
    run.log_metrics(epochs=epochs, kept_epoch=trainer.kept_epoch, **trainer.validation_ap)


def _split(options: YOLOv8, data: ImageSet, run: Run) -> tuple[ImageSet, ImageSet, str]:
    """The pictures to learn from, those held back, and which epoch to keep."""
    if not _labelled(data):
        raise SynthbenchError(f"training set: none of its {len(data)} pictures has a box, so there is nothing to learn; check its labels")
    if options.keep == "last":
        return data, data[:0], "last"
    learnt, held = data.split(options.validation, run.seed)
    if _labelled(learnt) and _labelled(held) and len(data) > 1:
        return learnt, held, options.keep
    if options.validation > 0:
        run.log("too few pictures with boxes to hold any back: training on all of them, and keeping the last epoch")
    return data, data[:0], "last"


def _labelled(data: ImageSet) -> bool:
    return any(picture.boxes is not None and not picture.boxes.crowd.all() for picture in data)


def _arguments(options: YOLOv8, run: Run, folder: Path, epochs: int, *, validate: bool) -> dict[str, object]:
    """What is passed to ultralytics, under its names."""
    adaptive = options.optimizer == "AdamW"
    cuda = run.device.startswith("cuda")
    return {
        "task": "detect",
        "model": f"{options.model}.yaml",
        "save_dir": str(folder),
        "device": run.device,
        "workers": run.threads if cuda else 0,
        "seed": run.seed,
        "deterministic": True,
        # bfloat16 by name: for True, ultralytics fetches a model to try float16 with.
        "amp": "bf16" if cuda and options.mixed_precision else False,
        "pretrained": False,
        "verbose": False,
        "plots": False,
        "val": validate,
        "patience": epochs,  # no early end
        "imgsz": options.image_size,
        "epochs": epochs,
        "batch": options.batch,
        "nbs": options.batch,  # a step for each batch: gathering 64 images would leave small sets a step an epoch
        "optimizer": options.optimizer,
        "lr0": options.learning_rate,
        "lrf": options.final_learning_rate,
        "weight_decay": options.weight_decay,
        "warmup_epochs": options.warmup_epochs,
        # What ultralytics' own `optimizer="auto"` takes with AdamW; its defaults are SGD's.
        "momentum": 0.9 if adaptive else 0.937,
        "warmup_bias_lr": 0.0 if adaptive else 0.1,
        "mosaic": options.mosaic,
        "close_mosaic": options.close_mosaic,
        "fliplr": options.flip_horizontal,
        "flipud": options.flip_vertical,
        "augmentations": [],  # the default differs with albumentations installed
    }


class Trainer(DetectionTrainer):  # type: ignore[misc]
    """Keeps the weights in memory instead of in pickles, and tells the run how far it is."""

    def __init__(
        self, options: YOLOv8, run: Run, arguments: dict[str, object], described: dict[str, object], *, keep: str, validated: bool
    ) -> None:
        self._options, self._run, self._described, self._keep, self._validated = options, run, described, keep, validated
        self._ticks: Iterator[int] = iter(())
        super().__init__(overrides=arguments)
        self.kept: dict[str, Tensor] = {}
        self.kept_epoch = 0
        self.validation_ap: dict[str, float] = {}
        self.add_callback("on_train_start", Trainer._started)
        self.add_callback("on_train_batch_end", Trainer._stepped)

    def _started(self) -> None:
        torch.set_num_threads(self._run.threads)  # choosing a device has set it to the number of cores
        steps = len(self.train_loader) * self.epochs
        self._ticks = iter(self._run.track(range(steps), "train", unit="steps"))
        next(self._ticks, None)

    def _stepped(self) -> None:
        self._run.show_metrics(loss=float(sum(self.tloss.values())))
        next(self._ticks, None)

    def get_dataset(self) -> dict[str, object]:
        """What has been written; the library's own way begins with fetching a font to plot with."""
        return self._described

    def get_model(self, **ignored: object) -> DetectionModel:  # noqa: ARG002 - the library's idea of a model and its weights
        """The model, from scratch or from the starting weights."""
        model = DetectionModel(architecture(self._options.model), nc=self.data["nc"], verbose=False)
        if self._options.weights:
            start_from(self._options.weights, model, self._run)
        return model

    def validate(self) -> tuple[dict[str, float], float]:
        """Metrics and fitness on the held pictures; without any, nothing is measured."""
        if not self._validated:
            return {}, 0.0
        metrics, fitness = super().validate()
        self._run.show_metrics(AP50=metrics["metrics/mAP50(B)"])
        return metrics, fitness

    def save_model(self) -> bool:
        """Takes over the moving average of the weights where this epoch is the one to keep so far."""
        kept = self.epoch + 1 >= self.epochs if self._keep == "last" else self.fitness == self.best_fitness
        if kept:
            state = self.ema.ema.state_dict()
            self.kept = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}
            self.kept_epoch = self.epoch + 1
            measured = {"validation_ap50": "metrics/mAP50(B)", "validation_ap": "metrics/mAP50-95(B)"}
            self.validation_ap = {name: float(self.metrics[key]) for name, key in measured.items() if self._validated}
        return True

    def final_eval(self) -> None:
        """Nothing: it would read the checkpoint that was not written, to measure what has been measured."""
