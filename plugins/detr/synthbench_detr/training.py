"""The training loop."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from synthbench import ImageSet, Run, SynthbenchError, curve_steps, training_batches
from torch import nn

from synthbench_detr.data import Squares, augment, pixel_values, targets
from synthbench_detr.models import VARIANTS, quiet, start

if TYPE_CHECKING:
    from synthbench_detr import Detr


def train(options: Detr, data: ImageSet, run: Run) -> None:
    """See `Detr.train`. Raises SynthbenchError if there are no images."""
    if not len(data):
        raise SynthbenchError("detr: the training set has no images")
    quiet()
    torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    device = torch.device(run.device)
    training, validation = (Squares.of(part, options.image_size) for part in data.split(options.validation_split, run.seed))
    model = start(options, data.categories, run).to(device).train()
    optimizer, schedule = optimization(options, model, options.max_train_steps)
    best, kept_step, best_weights = math.inf, options.max_train_steps, None
    rng = torch.Generator().manual_seed(run.seed)
    batches = training_batches(len(training), options.batch_size, options.max_train_steps, run.seed)
    measured = curve_steps(options.max_train_steps)
    step, losses = 0, list[float]()
    for picks in run.track(batches, "train", unit="steps"):
        loss = loss_of(options, model, training, picks, rng)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
        optimizer.step()
        schedule.step()
        step += 1
        losses.append(float(loss.detach()))
        run.show_metrics(loss=losses[-1])
        if step not in measured:
            continue
        run.log_curve("loss", step, sum(losses) / len(losses))
        losses.clear()
        if len(validation):
            current = validation_loss(options, model, validation)
            run.show_metrics(validation_loss=current)
            run.log_curve("validation_loss", step, current)
            if options.keep == "last" or current < best:
                best, kept_step = current, step
                if options.keep == "best":
                    best_weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if best_weights is not None:
        model.load_state_dict(best_weights)
    if len(training) < len(data):
        run.log_metrics(validation_images=len(validation))
    if len(validation):
        run.log_metrics(validation_loss=best)
    run.log_metrics(steps=step, kept_step=kept_step, parameters=sum(part.numel() for part in model.parameters()))
    model.save_pretrained(run.workdir)


def optimization(options: Detr, model: Any, steps: int) -> tuple[Any, Any]:
    """AdamW with a linear warm-up and a cosine decay, for a number of `steps`.

    The backbone has a learning rate of its own; norms, biases and embeddings have no weight decay.
    """
    groups: dict[tuple[bool, bool], list[Any]] = {}
    for name, weight in model.named_parameters():
        backbone = ".backbone." in name
        if backbone and options.backbone_learning_rate_factor == 0:
            weight.requires_grad_(False)
        else:
            groups.setdefault((backbone, weight.ndim > 1 and "embed" not in name), []).append(weight)
    rates = [options.learning_rate * (options.backbone_learning_rate_factor if backbone else 1) for backbone, _ in groups]
    settings = [
        {"params": weights, "lr": rate, "weight_decay": options.weight_decay if decayed else 0.0}
        for ((_, decayed), weights), rate in zip(groups.items(), rates, strict=True)
    ]
    optimizer = torch.optim.AdamW(settings)
    warm = max(steps // 10, 1)
    # Not OneCycleLR: it divides by zero if there are ten steps.
    rise_and_fall = [lambda step: min((step + 1) / warm, 1) * (1 + math.cos(math.pi * step / steps)) / 2] * len(settings)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rise_and_fall)


def loss_of(options: Detr, model: Any, data: Squares, chosen: list[int], rng: torch.Generator | None) -> Any:
    """The model's own loss on the `chosen` images: augmented, or as they are if `rng` is None."""
    device = next(model.parameters()).device
    values = pixel_values(data.images[chosen].to(device), normalised=VARIANTS[options.variant].normalised)
    boxes, labels = [data.boxes[number] for number in chosen], [data.labels[number] for number in chosen]
    if rng is not None:
        values, boxes, labels = augment(
            values, boxes, labels, horizontal_flip=options.horizontal_flip, scale_jitter=options.scale_jitter, rng=rng
        )
    with autocast(options, device):
        return model(pixel_values=values, labels=targets(boxes, labels, device)).loss


def validation_loss(options: Detr, model: Any, validation: Squares) -> float:
    """The mean loss per image, without augmentation."""
    model.eval()
    total = 0.0
    with torch.inference_mode():
        for first in range(0, len(validation), options.batch_size):
            chosen = list(range(first, min(first + options.batch_size, len(validation))))
            total += float(loss_of(options, model, validation, chosen, None)) * len(chosen)
    model.train()
    return total / len(validation)


def autocast(options: Detr, device: Any) -> AbstractContextManager[object]:
    """bfloat16 on CUDA, if the options ask for it."""
    enabled = options.mixed_precision == "bf16" and device.type == "cuda"
    context: AbstractContextManager[object] = torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
    return context
