"""The libraries' own training loops, as a person would write or start them without synthbench, for `bench_training.py`.

They use the plugins' functions for models and data, so that the work is the same, which the losses at the end confirm, except
for ultralytics' and mmengine's own loops, which draw the images in another order. The images fill whole batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthbench import training_batches
from synthbench.execution.stage_run import StageRun

if TYPE_CHECKING:
    from synthbench.contract.types import ImageSet

Loop = Callable[[], tuple[int, float]]
"""Trains; gives the number of optimiser steps and the last loss."""
SEED = 0


def passes_of(options: Any, data: ImageSet) -> int:
    """How often a training goes through the images, which must be a whole number."""
    passes, rest = divmod(options.max_train_steps * options.batch_size, len(data))
    assert not rest, f"{options.max_train_steps} steps are no whole number of passes over {len(data)} images"
    return int(passes)


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
        passes = passes_of(options, data)
        counted = {
            "epochs": passes,
            "patience": passes,
            "warmup_epochs": options.warmup_share * passes,
            "close_mosaic": round(options.close_mosaic_share * passes),
        }
        trainer = Plain(overrides={**settings_of(options, run, folder / "run", validate=False), **counted, "save": False})
        trainer.add_callback("on_train_start", lambda _: torch.set_num_threads(1))
        trainer.train()
        return len(trainer.train_loader) * trainer.epochs, float(sum(trainer.tloss.values()))

    return loop


def own_fasterrcnn(options: Any, data: ImageSet, folder: Path) -> Loop:
    """A plain loop around torchvision's model; torchvision has none to call."""
    import torch
    from safetensors.torch import save_file
    from synthbench_fasterrcnn.data import augment, load, typical_sizes
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
        order = training_batches(len(examples), options.batch_size, options.max_train_steps, SEED)
        optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], 1e-3, weight_decay=options.weight_decay)
        steps, warm = len(order), max(round(0.1 * len(order)), 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: (step + 1) / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1))) / 2,
        )
        for picks in order:
            batch = [augment(examples[pick], options.horizontal_flip, options.scale_jitter, options.image_size, rng) for pick in picks]
            images, targets = zip(*batch, strict=True)
            loss = sum(model(list(images), list(targets)).values())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
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
        rng = torch.Generator().manual_seed(SEED)
        squares = Squares.of(data, options.image_size)
        model = start(options, data.categories, StageRun(folder, SEED)).train()
        steps = options.max_train_steps
        optimizer, schedule = optimization(options, model, steps)
        normalised = VARIANTS[options.variant].normalised
        for picks in training_batches(len(squares), options.batch_size, steps, SEED):
            values = pixel_values(squares.images[picks], normalised=normalised)
            boxes, labels = [squares.boxes[pick] for pick in picks], [squares.labels[pick] for pick in picks]
            values, boxes, labels = augment(
                values, boxes, labels, horizontal_flip=options.horizontal_flip, scale_jitter=options.scale_jitter, rng=rng
            )
            loss = model(pixel_values=values, labels=targets(boxes, labels, torch.device("cpu"))).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
            optimizer.step()
            schedule.step()
        model.save_pretrained(folder)
        return steps, float(loss.detach())

    return loop


def own_mmdet(options: Any, data: ImageSet, folder: Path) -> Loop:
    """mmengine's Runner on the plugin's model and optimiser, with mmdet's data set and pipeline, on files in COCO's layout."""
    from synthbench.contract.types import Sample
    from synthbench.storage.coco import write_set
    from synthbench_mmdet.configs import resolve
    from synthbench_mmdet.library import ConfigDict, Hook, Runner
    from synthbench_mmdet.training import _optimizer as optimizer_of
    from synthbench_mmdet.training import _schedule as schedule_of

    write_set(folder / "data", data.categories, (Sample(picture.path, picture.boxes) for picture in data))
    settings = resolve(options, len(data.categories))
    losses = []

    class Losses(Hook):  # type: ignore[misc]
        def after_train_iter(self, *_: Any, outputs: Any, **__: Any) -> None:
            losses.append(float(outputs["loss"]))

    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations", "with_bbox": True},
        {"type": "Resize", "scale": (options.image_size, options.image_size), "keep_ratio": True},
        {"type": "RandomFlip", "prob": options.horizontal_flip},
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
            "batch_size": options.batch_size,
            "num_workers": 0,
            "sampler": {"type": "DefaultSampler", "shuffle": True},
            "collate_fn": {"type": "pseudo_collate"},
        },
        train_cfg={"type": "EpochBasedTrainLoop", "max_epochs": passes_of(options, data)},
        optim_wrapper=optimizer_of(options, settings, "cpu"),
        param_scheduler=schedule_of(options.max_train_steps),
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
