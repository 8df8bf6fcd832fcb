"""The training loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from synthbench import curve_steps, training_batches
from torch import Tensor, nn

from synthbench_fasterrcnn.data import Example, augment, load, typical_sizes
from synthbench_fasterrcnn.model import MODEL, OWN, SPEC
from synthbench_fasterrcnn.weights import start

if TYPE_CHECKING:
    from synthbench import ImageSet, Run

    from synthbench_fasterrcnn import FasterRCNN

WARMUP = 0.1  # share of the steps over which the learning rate rises


def train(options: FasterRCNN, data: ImageSet, run: Run) -> None:
    """See `FasterRCNN.train`."""
    torch.manual_seed(run.seed)
    rng = torch.Generator().manual_seed(run.seed)
    training, held_back = data.split(options.validation_split, run.seed)
    examples, validation = load(training, options.image_size), load(held_back, options.image_size)
    sizes = options.anchor_sizes or (typical_sizes(examples, options.image_size) if options.backbone in OWN else ())
    spec, model = start(options, data.categories, sizes, run)
    model.to(run.device, memory_format=torch.channels_last)

    optimizer, schedule = _optimizer(options, model, options.max_train_steps)
    batches = training_batches(len(examples), options.batch_size, options.max_train_steps, run.seed)
    measured = curve_steps(options.max_train_steps)
    step, losses = 0, list[float]()
    best, best_step = math.inf, 0
    best_weights: dict[str, Tensor] = {}
    for picks in run.track(batches, "train", unit="steps"):
        _training_mode(model)
        batch = [augment(examples[pick], options.horizontal_flip, options.scale_jitter, options.image_size, rng) for pick in picks]
        with torch.autocast("cuda", torch.bfloat16, enabled=options.mixed_precision == "bf16" and run.device.startswith("cuda")):
            loss = _loss(model, batch, run.device)
        losses.append(loss.item())
        run.show_metrics(loss=losses[-1])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
        optimizer.step()
        schedule.step()
        step += 1
        if step not in measured:
            continue
        run.log_curve("loss", step, sum(losses) / len(losses))
        losses.clear()
        if validation:
            validation_loss = _validate(model, validation, options, run)
            run.show_metrics(validation_loss=validation_loss)
            run.log_curve("validation_loss", step, validation_loss)
            if validation_loss < best:
                best, best_step = validation_loss, step
                best_weights = copy.deepcopy(model.state_dict()) if options.keep == "best" else {}
    if validation:
        run.log_metrics(best_step=best_step, validation_loss=round(best, 4))
    if len(training) < len(data):
        run.log_metrics(validation_images=len(held_back))
    run.log_metrics(steps=step)

    weights = {name: tensor.cpu().contiguous() for name, tensor in (best_weights or model.state_dict()).items()}
    save_file(weights, run.workdir / MODEL)
    spec.save(run.workdir / SPEC)


def _training_mode(model: nn.Module, *, learning: bool = True) -> None:
    """`model.train()`, without which torchvision returns no losses, but with the BatchNorms that are frozen, or all if not
    `learning`, in evaluation mode, in which they keep their statistics."""
    for module in model.train().modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(learning and module.weight.requires_grad)


def _loss(model: nn.Module, examples: Sequence[Example], device: str) -> Tensor:
    """The sum of the four losses: objectness and boxes of the proposals, classes and boxes of the detections."""
    images = [image.to(device, non_blocking=True) for image, _ in examples]
    targets = [{name: tensor.to(device, non_blocking=True) for name, tensor in target.items()} for _, target in examples]
    losses: Tensor = sum(model(images, targets).values())
    return losses


def _validate(model: nn.Module, validation: Sequence[Example], options: FasterRCNN, run: Run) -> float:
    """The mean loss per image, without augmentation; torchvision's samplers draw the same boxes each time."""
    _training_mode(model, learning=False)
    total = 0.0
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(run.seed)
        for first in range(0, len(validation), options.batch_size):
            batch = [(image.float() / 255, target) for image, target in validation[first : first + options.batch_size]]
            total += _loss(model, batch, run.device).item() * len(batch)
    return total / len(validation)


def _optimizer(options: FasterRCNN, model: nn.Module, steps: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """The optimizer, and a linear warm-up followed by a cosine decay to zero."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer: torch.optim.Optimizer
    if options.optimizer == "sgd":
        rate = options.learning_rate or 0.02 * options.batch_size / 16
        optimizer = torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=options.weight_decay)
    else:
        optimizer = torch.optim.AdamW(parameters, options.learning_rate or 1e-3, weight_decay=options.weight_decay)
    warm = max(round(WARMUP * steps), 1)

    def factor(step: int) -> float:
        return (step + 1) / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1))) / 2

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
