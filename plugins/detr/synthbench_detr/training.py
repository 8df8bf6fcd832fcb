"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from synthbench import ImageSet, Run, SynthbenchError
from torch import nn

from synthbench_detr.data import Squares, augment, pixel_values, targets
from synthbench_detr.models import VARIANTS, quiet, start

if TYPE_CHECKING:
    from synthbench_detr import Detr


def train(options: Detr, data: ImageSet, run: Run) -> None:
    """Trains on `data` and leaves the model in `run.workdir`. Raises SynthbenchError where there is nothing to learn from."""
    if not len(data):
        raise SynthbenchError("detr: the training set has no images")
    quiet()
    torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    device = torch.device(run.device)
    learned, held = (Squares.of(part, options.image_size) for part in data.split(options.validation, run.seed))
    model = start(options, data.categories, run).to(device).train()
    per_epoch = math.ceil(len(learned) / options.batch)
    epochs = max(options.epochs, math.ceil(options.min_steps / per_epoch))
    optimizer, schedule = optimization(options, model, epochs * per_epoch)
    best, best_epoch, kept = math.inf, epochs, None
    chance = torch.Generator().manual_seed(run.seed)
    order = shuffled(len(learned), options.batch, chance)
    for step in run.track(range(epochs * per_epoch), "train", unit="steps"):
        loss = loss_of(options, model, learned, next(order), chance)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), options.gradient_norm)
        optimizer.step()
        schedule.step()
        run.show_metrics(loss=float(loss.detach()))
        if (step + 1) % per_epoch == 0 and len(held):
            current = validation_loss(options, model, held)
            run.show_metrics(validation_loss=current)
            if options.keep == "last" or current < best:
                best, best_epoch = current, (step + 1) // per_epoch
                if options.keep == "best":
                    kept = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if kept is not None:
        model.load_state_dict(kept)
    if len(held):
        run.log_metrics(validation_loss=best)
    run.log_metrics(
        kept_epoch=best_epoch, epochs=epochs, steps=epochs * per_epoch, parameters=sum(part.numel() for part in model.parameters())
    )
    model.save_pretrained(run.workdir)


def optimization(options: Detr, model: Any, steps: int) -> tuple[Any, Any]:
    """AdamW with a warm-up and a cosine: the backbone has its own rate, and norms, biases and embeddings no decay."""
    groups: dict[tuple[bool, bool], list[Any]] = {}
    for name, weight in model.named_parameters():
        backbone = ".backbone." in name
        if backbone and options.backbone_rate == 0:
            weight.requires_grad_(False)
        else:
            groups.setdefault((backbone, weight.ndim > 1 and "embed" not in name), []).append(weight)
    rates = [options.learning_rate * (options.backbone_rate if backbone else 1) for backbone, _ in groups]
    settings = [
        {"params": weights, "lr": rate, "weight_decay": options.weight_decay if decayed else 0.0}
        for ((_, decayed), weights), rate in zip(groups.items(), rates, strict=True)
    ]
    optimizer = torch.optim.AdamW(settings)
    warm = max(steps // 10, 1)
    # Not OneCycleLR: it divides by zero where there are ten steps.
    rise_and_fall = [lambda step: min((step + 1) / warm, 1) * (1 + math.cos(math.pi * step / steps)) / 2] * len(settings)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rise_and_fall)


def shuffled(count: int, batch: int, chance: torch.Generator) -> Iterator[list[int]]:
    """Batches of positions without end, each epoch in a new order."""
    while True:
        order = torch.randperm(count, generator=chance).tolist()
        yield from (order[first : first + batch] for first in range(0, count, batch))


def loss_of(options: Detr, model: Any, data: Squares, chosen: list[int], chance: torch.Generator | None) -> Any:
    """The model's own loss on the `chosen` images, augmented where there is a `chance`."""
    device = next(model.parameters()).device
    values = pixel_values(data.images[chosen].to(device), normalised=VARIANTS[options.variant].normalised)
    boxes, labels = [data.boxes[number] for number in chosen], [data.labels[number] for number in chosen]
    if chance is not None:
        values, boxes, labels = augment(values, boxes, labels, flip=options.flip, zoom=options.zoom, chance=chance)
    with autocast(options, device):
        return model(pixel_values=values, labels=targets(boxes, labels, device)).loss


def validation_loss(options: Detr, model: Any, held: Squares) -> float:
    """The mean loss an image, without augmentation."""
    model.eval()
    total = 0.0
    with torch.inference_mode():
        for first in range(0, len(held), options.batch):
            chosen = list(range(first, min(first + options.batch, len(held))))
            total += float(loss_of(options, model, held, chosen, None)) * len(chosen)
    model.train()
    return total / len(held)


def autocast(options: Detr, device: Any) -> AbstractContextManager[object]:
    """Bfloat16 where the options ask for it and a GPU is there."""
    made: AbstractContextManager[object] = torch.autocast(device.type, dtype=torch.bfloat16, enabled=options.amp and device.type == "cuda")
    return made
