"""Training with ultralytics' own trainer, without its files, its pickles and its progress bar."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from synthbench import SynthbenchError, curve_steps, training_batches
from torch import Tensor

from synthbench_yolov8.dataset import write_dataset
from synthbench_yolov8.library import DetectionModel, DetectionTrainer, InfiniteDataLoader, architecture, contained
from synthbench_yolov8.loading import Order, step_loader
from synthbench_yolov8.weights import save, start_from

if TYPE_CHECKING:
    from synthbench import ImageSet, Run

    from synthbench_yolov8 import YOLOv8

OPTIMIZERS = {"adamw": "AdamW", "sgd": "SGD", "musgd": "MuSGD"}  # ultralytics' names


def train(options: YOLOv8, data: ImageSet, run: Run) -> None:
    """See `YOLOv8.train`."""
    training, validation, keep = _split(options, data, run)
    with tempfile.TemporaryDirectory(dir=run.workdir) as folder, contained(run, folder):
        scratch = Path(folder)
        dataset = write_dataset(scratch / "data", training, validation, options.image_size, run)
        arguments = _arguments(options, run, scratch / "run", validate=len(validation) > 0)
        trainer = Trainer(options, run, arguments, dataset, keep=keep, validate=len(validation) > 0)
        trainer.train()
    save(run.workdir, trainer.kept, options.model, data.categories)
    if len(validation):
        run.log_metrics(validation_images=len(validation))
    run.log_metrics(steps=trainer.steps, kept_step=trainer.kept_step, **trainer.validation_ap)


def _split(options: YOLOv8, data: ImageSet, run: Run) -> tuple[ImageSet, ImageSet, str]:
    """The images to train on, those held back, and which weights to keep."""
    if not _labelled(data):
        raise SynthbenchError(f"training set: none of its {len(data)} images has a box, so there is nothing to learn; check its labels")
    training, validation = data.split(options.validation_split, run.seed)
    if not len(validation) or (_labelled(training) and _labelled(validation) and len(data) > 1):
        return training, validation, options.keep
    run.note("yolov8: too few images with boxes to hold any back, so it trains on all of them and keeps the last weights")
    return data, data[:0], "last"


def _labelled(data: ImageSet) -> bool:
    return any(picture.boxes is not None and not picture.boxes.crowd.all() for picture in data)


def _arguments(options: YOLOv8, run: Run, folder: Path, *, validate: bool) -> dict[str, object]:
    """The arguments of ultralytics' trainer, by its names. Its epochs are steps: see `Trainer`."""
    steps = options.max_train_steps
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
        "patience": steps,  # no early stopping
        "imgsz": options.image_size,
        "epochs": steps,
        "batch": options.batch_size,
        "nbs": options.batch_size,  # a step for each batch: ultralytics would take one for every 64 images
        "optimizer": OPTIMIZERS[options.optimizer],
        "lr0": options.learning_rate,
        "lrf": options.final_learning_rate_factor,
        "weight_decay": options.weight_decay,
        "warmup_epochs": round(options.warmup_share * steps),
        # What ultralytics' own `optimizer="auto"` uses with AdamW; its defaults are meant for SGD.
        "momentum": 0.9 if adaptive else 0.937,
        "warmup_bias_lr": 0.0 if adaptive else 0.1,
        "mosaic": options.mosaic,
        "close_mosaic": round(options.close_mosaic_share * steps),
        "fliplr": options.horizontal_flip,
        "flipud": options.vertical_flip,
        "augmentations": [],  # the default depends on whether albumentations is installed
    }


class Trainer(DetectionTrainer):  # type: ignore[misc]
    """Takes exactly `max_train_steps` steps, keeps the weights in memory instead of in pickles, and reports to the run.

    ultralytics counts in epochs, which are longer the more images there are. Here an epoch is one step, so that the learning rate's
    schedule, the warm-up and the end of mosaics, which it counts in epochs, are the same for every training set.
    """

    def __init__(
        self, options: YOLOv8, run: Run, arguments: dict[str, object], dataset: dict[str, object], *, keep: str, validate: bool
    ) -> None:
        self._options, self._run, self._dataset, self._keep, self._validate = options, run, dataset, keep, validate
        self._ticks: Iterator[int] = iter(())
        self._measured = curve_steps(options.max_train_steps)
        self._losses: list[float] = []
        super().__init__(overrides=arguments)
        self.steps = 0
        self.kept: dict[str, Tensor] = {}
        self.kept_step = 0
        self.validation_ap: dict[str, float] = {}
        self.add_callback("on_train_start", Trainer._started)
        self.add_callback("on_train_epoch_start", Trainer._forbid_smaller_batches)
        self.add_callback("on_train_batch_end", Trainer._stepped)

    def _started(self) -> None:
        torch.set_num_threads(self._run.threads)  # ultralytics has set it to the number of cores
        self._ticks = iter(self._run.track(range(self._options.max_train_steps), "train", unit="steps"))
        next(self._ticks, None)

    def _forbid_smaller_batches(self) -> None:
        """Lets a lack of GPU memory be an error: ultralytics would halve the batches, up to three times."""
        self._oom_retries = 3

    def optimizer_step(self) -> None:
        """An optimizer step, counted."""
        super().optimizer_step()
        self.steps += 1

    def _stepped(self) -> None:
        self._losses.append(float(sum(self.tloss.values())))
        self._run.show_metrics(loss=self._losses[-1])
        if self.steps in self._measured:
            self._run.log_curve("loss", self.steps, sum(self._losses) / len(self._losses))
            self._losses.clear()
        next(self._ticks, None)

    def get_dataset(self) -> dict[str, object]:
        """The data set that was written; ultralytics' own method begins by downloading a font for plots."""
        return self._dataset

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> InfiniteDataLoader:
        """The loader of the images held back is ultralytics' own; that of the training images gives one batch an epoch."""
        if mode != "train":
            return super().get_dataloader(dataset_path, batch_size, rank, mode)
        dataset = self.build_dataset(dataset_path, mode, batch_size)
        batches = training_batches(len(dataset), self._options.batch_size, self._options.max_train_steps, self._run.seed)
        return step_loader(dataset, Order(batches, self), self.args.workers, self._run.seed, pin=self.device.type == "cuda")

    def get_model(self, **ignored: object) -> DetectionModel:  # noqa: ARG002 - ultralytics' choice of a model and weights
        """The model, at random or with the starting weights."""
        model = DetectionModel(architecture(self._options.model), nc=self.data["nc"], verbose=False)
        if self._options.weights:
            start_from(self._options.weights, model, self._run)
        return model

    def _clear_memory(self, threshold: float | None = None) -> None:
        """Collects garbage after a measurement only: ultralytics would do it in each epoch, which is a step here."""
        if threshold is None or self.steps in self._measured:
            super()._clear_memory(threshold)

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """Does nothing: ultralytics would write a line of a CSV file in each epoch."""

    def validate(self) -> tuple[dict[str, float], float]:
        """Metrics and fitness (AP) on the images held back, at the steps of the curves; between them, those of the last time."""
        if not self._validate:
            return {}, 0.0
        if self.steps not in self._measured:
            return self.metrics, self.fitness or 0.0
        metrics, fitness = super().validate()
        loss = sum(value for name, value in metrics.items() if name.startswith("val/") and name.endswith("loss"))
        self._run.show_metrics(AP50=metrics["metrics/mAP50(B)"])
        self._run.log_curve("validation_loss", self.steps, loss)
        self._run.log_curve("validation_ap", self.steps, fitness)
        return metrics, fitness

    def save_model(self) -> bool:
        """Keeps the moving average of the weights if it is, so far, the one to keep."""
        best = self.steps in self._measured and self.fitness == self.best_fitness
        if best if self._keep == "best" else self.steps == self._options.max_train_steps:
            state = self.ema.ema.state_dict()
            self.kept = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}
            self.kept_step = self.steps
            measured = {"validation_ap50": "metrics/mAP50(B)", "validation_ap": "metrics/mAP50-95(B)"}
            self.validation_ap = {name: float(self.metrics[key]) for name, key in measured.items() if self._validate}
        return True

    def final_eval(self) -> None:
        """Does nothing: ultralytics would read a checkpoint, which is not written, and measure the best epoch again."""
