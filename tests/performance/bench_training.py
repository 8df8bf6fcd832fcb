"""What the harness adds to a training: the same one as a job of a warm worker and in the library's own loop.

    uv run python tests/performance/bench_training.py [--seconds 120] [DETECTOR ...]

Both go at the same time, on a core each, from the same images, options, seed and number of epochs; then once more with
the cores changed, so that what a machine does to one of them it does to the other. Each process has trained a little
before, so no import is in the figures. The loops below are what a person would write, or start, without synthbench; they
use the plugins' functions for models and data, so that the work is the same, which the losses at the end confirm.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import TYPE_CHECKING, Any

from synthbench.context import Event, StageRun
from synthbench.engine import Worker
from synthbench.jobs import Job, ViewRef
from synthbench.options import configure
from synthbench.plugins import installed
from synthbench.views import joined

if TYPE_CHECKING:
    from synthbench.types import ImageSet

Loop = Callable[[], tuple[int, float]]
"""Trains; gives the number of optimiser steps and the last loss."""
IMAGES, SIDE, SEED = 160, 96, 0
TIMEOUT = 3600.0
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "yolov8": {"image_size": 96, "batch": 8, "learning_rate": 0.003, "warmup_epochs": 1.0, "close_mosaic": 4, "validation": 0.0},
    "fasterrcnn": {"image_size": 128, "stride": 4, "validation": 0.0},
    "detr": {"image_size": 96, "validation": 0.0},
    # No zoom: mmdet's own pipelines have none of the kind.
    "fasterrcnn-mmdet": {"config": "small-faster-rcnn", "image_size": 96, "zoom": 1.0},
    "detr-mmdet": {"config": "small-deformable-detr", "image_size": 96, "zoom": 1.0},
}


@dataclass
class Trained:
    """One training: wall time in seconds, optimiser steps, and the loss that was told last."""

    seconds: float
    steps: int
    loss: float


def own_yolov8(options: Any, data: ImageSet, folder: Path) -> Loop:
    """ultralytics' trainer with the plugin's settings, on files in YOLO's layout. Nothing is held back, so nothing is measured."""
    import torch
    from synthbench_yolov8.dataset import write_dataset
    from synthbench_yolov8.library import DetectionModel, DetectionTrainer, architecture
    from synthbench_yolov8.training import _arguments as settings_of

    run = StageRun(folder, SEED)
    described = write_dataset(folder / "data", data, data[:0], options.image_size, run)

    class Plain(DetectionTrainer):  # type: ignore[misc]
        def get_dataset(self) -> dict[str, object]:
            return described

        def get_model(self, **_: object) -> DetectionModel:
            return DetectionModel(architecture(options.model), nc=self.data["nc"], verbose=False)

        def validate(self) -> tuple[dict[str, float], float]:
            return {}, 0.0

        def final_eval(self) -> None:
            return None

    def loop() -> tuple[int, float]:
        trainer = Plain(overrides={**settings_of(options, run, folder / "run", options.epochs, validate=False), "save": False})
        trainer.add_callback("on_train_start", lambda _: torch.set_num_threads(1))
        trainer.train()
        return len(trainer.train_loader) * trainer.epochs, float(sum(trainer.tloss.values()))

    return loop


def own_fasterrcnn(options: Any, data: ImageSet, folder: Path) -> Loop:
    """A plain loop around torchvision's model; torchvision has none to call."""
    import torch
    from safetensors.torch import save_file
    from synthbench_fasterrcnn.data import load, typical_sizes, vary
    from synthbench_fasterrcnn.weights import start

    def loop() -> tuple[int, float]:
        torch.manual_seed(SEED)
        rng = torch.Generator().manual_seed(SEED)
        examples = load(data, options.image_size)
        _, model = start(options, data.categories, typical_sizes(examples, options.image_size), StageRun(folder, SEED))
        model.to(memory_format=torch.channels_last).train()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d) and not module.weight.requires_grad:
                module.eval()
        order = [picks for _ in range(options.epochs) for picks in torch.randperm(len(examples), generator=rng).split(options.batch)]
        optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], 1e-3, weight_decay=options.weight_decay)
        steps, warm = len(order), max(round(0.1 * len(order)), 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: (step + 1) / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1))) / 2,
        )
        for picks in order:
            images, targets = zip(
                *(vary(examples[pick], options.flip, options.zoom, options.image_size, rng) for pick in picks.tolist()), strict=True
            )
            loss = sum(model(list(images), list(targets)).values())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), options.gradient_norm)
            optimizer.step()
            schedule.step()
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
        return steps, loss.item()

    return loop


def own_detr(options: Any, data: ImageSet, folder: Path) -> Loop:
    """A plain loop around transformers' model; its trainer knows no augmentation of boxes."""
    import torch
    from synthbench_detr.data import Squares, augment, pixel_values, targets
    from synthbench_detr.models import VARIANTS, quiet, start
    from synthbench_detr.training import optimization

    def loop() -> tuple[int, float]:
        quiet()
        torch.manual_seed(SEED)
        chance = torch.Generator().manual_seed(SEED)
        squares = Squares.of(data, options.image_size)
        model = start(options, data.categories, StageRun(folder, SEED)).train()
        steps = options.epochs * math.ceil(len(squares) / options.batch)
        optimizer, schedule = optimization(options, model, steps)
        normalised = VARIANTS[options.variant].normalised
        for _ in range(options.epochs):
            for picks in torch.randperm(len(squares), generator=chance).split(options.batch):
                values = pixel_values(squares.images[picks], normalised=normalised)
                boxes, labels = [squares.boxes[pick] for pick in picks], [squares.labels[pick] for pick in picks]
                values, boxes, labels = augment(values, boxes, labels, flip=options.flip, zoom=options.zoom, chance=chance)
                loss = model(pixel_values=values, labels=targets(boxes, labels, torch.device("cpu"))).loss
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), options.gradient_norm)
                optimizer.step()
                schedule.step()
        model.save_pretrained(folder)
        return steps, float(loss.detach())

    return loop


def own_mmdet(options: Any, data: ImageSet, folder: Path) -> Loop:
    """mmengine's Runner on the plugin's model and optimiser, with mmdet's data set and pipeline, on files in COCO's layout."""
    from synthbench.formats.coco import write_set
    from synthbench.types import Sample
    from synthbench_mmdet.configs import resolve
    from synthbench_mmdet.library import ConfigDict, Hook, Runner
    from synthbench_mmdet.training import _optimizer as optimizer_of
    from synthbench_mmdet.training import _schedule as schedule_of

    write_set(folder / "data", data.categories, (Sample(picture.path, picture.boxes) for picture in data))
    settings = resolve(options, len(data.categories))
    steps = options.epochs * math.ceil(len(data) / options.batch)
    losses = []

    class Losses(Hook):  # type: ignore[misc]
        def after_train_iter(self, *_: Any, outputs: Any, **__: Any) -> None:
            losses.append(float(outputs["loss"]))

    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations", "with_bbox": True},
        {"type": "Resize", "scale": (options.image_size, options.image_size), "keep_ratio": True},
        {"type": "RandomFlip", "prob": options.flip},
        {"type": "PackDetInputs"},
    ]
    images = {
        "type": "CocoDataset",
        "data_root": str(folder / "data"),
        "ann_file": "annotations.json",
        "data_prefix": {"img": ""},
        "metainfo": {"classes": data.categories},
        "pipeline": pipeline,
    }

    runner = Runner(
        model=ConfigDict(settings["model"]),
        work_dir=str(folder / "run"),
        train_dataloader={
            "dataset": images,
            "batch_size": options.batch,
            "num_workers": 0,
            "sampler": {"type": "DefaultSampler", "shuffle": True},
            "collate_fn": {"type": "pseudo_collate"},
        },
        train_cfg={"type": "EpochBasedTrainLoop", "max_epochs": options.epochs},
        optim_wrapper=optimizer_of(options, settings, "cpu"),
        param_scheduler=schedule_of(steps),
        default_hooks={"logger": None, "checkpoint": None},
        custom_hooks=[Losses()],
        default_scope="mmdet",
        log_level="ERROR",
        randomness={"seed": SEED},
        experiment_name=folder.name,
    )

    def loop() -> tuple[int, float]:
        runner.train()
        return runner.iter, losses[-1]

    return loop


OWN: Mapping[str, Callable[[Any, ImageSet, Path], Loop]] = {
    "yolov8": own_yolov8,
    "fasterrcnn": own_fasterrcnn,
    "detr": own_detr,
    "fasterrcnn-mmdet": own_mmdet,
    "detr-mmdet": own_mmdet,
}


def serve_own(detector: str, images: str) -> None:
    """The other process: a training in the library's own loop for each number of epochs on standard input."""
    import torch

    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not pass for a result
    torch.set_num_threads(1)
    data = joined([ViewRef(folder=images)])
    for line in sys.stdin:
        options, problems = configure(installed().get("detector", detector).plugin, {**OPTIONS[detector], "epochs": int(line)})
        assert options is not None, problems
        with tempfile.TemporaryDirectory() as folder:
            loop = OWN[detector](options, data, Path(folder))
            started = time.perf_counter()
            steps, loss = loop()
            results.write(json.dumps([time.perf_counter() - started, steps, loss]) + "\n")


class Own:
    """The library's own loop, in a plain process on one core."""

    def __init__(self, detector: str, images: Path, log: Path) -> None:
        command = [sys.executable, __file__, "--own", detector, str(images)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
            )
        self.log = log

    def train(self, epochs: int) -> Trained:
        """One training."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{epochs}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the library's own loop ended:\n{self.log.read_text()[-2000:]}")
        return Trained(*json.loads(line))

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()


class Harness:
    """Trainings as jobs of a worker on one core."""

    def __init__(self, detector: str, images: Path, log: Path) -> None:
        self.detector, self.images = detector, images
        self.worker = Worker(log, 1, offline=True)

    def train(self, epochs: int) -> Trained:
        """One training."""
        told: list[Event] = []
        with tempfile.TemporaryDirectory() as folder:
            job = Job(
                stage="train",
                label="",
                workdir=folder,
                plugin=("detector", self.detector),
                options={**OPTIONS[self.detector], "epochs": epochs},
                seed=SEED,
                views={"data": [ViewRef(folder=str(self.images))]},
            )
            started = time.perf_counter()
            outcome = self.worker.carry_out(job, told.append, TIMEOUT)
            seconds = time.perf_counter() - started
        if outcome.error:
            raise SystemExit(f"{self.detector}: {outcome.error}\n{outcome.trace}")
        last: Any = next(event for event in reversed(told) if event["event"] == "progress" and event["label"] == "train")
        return Trained(seconds, last["done"], sum(value for name, value in last["figures"].items() if name == "loss"))

    def close(self) -> None:
        """Ends the worker."""
        self.worker.close()


def compare(detector: str, images: Path, folder: Path, seconds: float) -> list[tuple[Trained, Trained]]:
    """Harness and own loop, side by side, twice."""
    pairs = []
    epochs = 0
    everywhere = os.sched_getaffinity(0)
    for turn, cores in enumerate(((0, 1), (1, 0))):
        start = Barrier(2)

        def side(make: Callable[[], Own | Harness], core: int, start: Barrier = start) -> Trained:
            nonlocal epochs
            os.sched_setaffinity(0, {core})  # of this thread; what it starts inherits it
            trainer = make()
            try:
                trainer.train(1)
                os.sched_setaffinity(0, everywhere)  # who only listens is not to take the core of who trains
                start.wait()
                if isinstance(trainer, Own) and not epochs:  # while the other waits
                    short, long = trainer.train(1).seconds, trainer.train(3).seconds
                    epochs = max(round((seconds - short) / ((long - short) / 2)) + 1, 1)
                start.wait()
                return trainer.train(epochs)
            finally:
                start.abort()  # the other side must not wait for one that failed
                trainer.close()

        with ThreadPoolExecutor(2) as pool:
            harness = pool.submit(side, lambda: Harness(detector, images, folder / f"{detector}-{turn}.log"), cores[0])  # noqa: B023
            own = pool.submit(side, lambda: Own(detector, images, folder / f"{detector}-own-{turn}.log"), cores[1])  # noqa: B023
            errors = [error for each in (harness, own) if (error := each.exception()) and not isinstance(error, BrokenBarrierError)]
            if errors:
                raise errors[0]
            pairs.append((harness.result(), own.result()))
    return pairs


def main() -> None:
    """Prints a line for each training and one for each detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--own", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("detectors", nargs="*", metavar="DETECTOR")
    given = parser.parse_args()
    if given.own:
        serve_own(*given.own)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        options = {"train": IMAGES, "test": 1, "size": SIDE}
        worker = Worker(folder / "data.log", 1, offline=True)
        job = Job(stage="data", label="", workdir=str(folder / "data"), plugin=("data-source", "orchard"), options=options)
        (folder / "data").mkdir()
        outcome = worker.carry_out(job, lambda _: None, TIMEOUT)
        worker.close()
        assert not outcome.error, outcome.error
        print(f"{IMAGES} orchard scenes of {SIDE} pixels, one thread and one core a side, about {given.seconds:g} s")
        print(f"{'detector':<18} {'steps':>6} {'harness':>9} {'own loop':>9} {'ratio':>7}   last loss: harness, own")
        for detector in given.detectors or OPTIONS:
            pairs = compare(detector, folder / "data" / "train", folder, given.seconds)
            for harness, own in pairs:
                assert harness.steps == own.steps, f"{detector}: {harness.steps} steps against {own.steps}"
                ratio = harness.seconds / own.seconds
                losses = f"{harness.loss:.6f}, {own.loss:.6f}"
                print(f"{detector:<18} {own.steps:>6} {harness.seconds:>7.2f} s {own.seconds:>7.2f} s {ratio:>7.4f}   {losses}", flush=True)
            both = sum(harness.seconds for harness, _ in pairs) / sum(own.seconds for _, own in pairs)
            print(f"{detector:<18} {'both turns':>26} {both:>7.4f}  {100 * (both - 1):+.2f} %", flush=True)


if __name__ == "__main__":
    main()
