"""The training loop, with YOLOX's model, loss, augmentations, schedule and moving average.

YOLOX's own `Trainer` computes on CUDA only, reads folders in COCO's layout, and writes pickles.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from synthbench import curve_steps, training_batches
from torch import Tensor, nn
from yolox.utils import ModelEMA

from synthbench_yolox.data import Augmented, plain_batches
from synthbench_yolox.model import MODEL, SPEC, Spec, fill, on_device

if TYPE_CHECKING:
    from synthbench import ImageSet, Run

    from synthbench_yolox import YOLOX

DECAY = 0.9998  # of the moving average, YOLOX's own value; `ModelEMA` begins with less and approaches it


def train(options: YOLOX, data: ImageSet, run: Run) -> None:
    """See `YOLOX.train`."""
    for seed in (random.seed, np.random.seed, torch.manual_seed):  # YOLOX uses all three generators
        seed(run.seed)
    spec = Spec(options.model, data.categories, options.image_size)
    training, held_back = data.split(options.validation_split, run.seed)
    augmented, validation = Augmented(training.pictures, options), plain_batches(held_back, options)
    batches = training_batches(len(training), options.batch_size, options.max_train_steps, run.seed)
    first_plain = len(batches) - round(options.plain_share * len(batches))
    measured = curve_steps(options.max_train_steps)
    step, losses = 0, list[float]()

    device, current = on_device(run.device)
    with current:
        experiment = spec.experiment()
        model = experiment.get_model()
        if options.weights:
            fill(model, options.weights, run)
        _set_norm_momentum(model, len(batches))
        model.to(device).train()
        optimizer, schedule = _optimizer(options, experiment, len(batches))
        average = ModelEMA(model, DECAY)
        for picks in run.track(batches, "train", unit="steps"):
            plain = step >= first_plain
            model.head.use_l1 = plain
            for group in optimizer.param_groups:
                group["lr"] = schedule.update_lr(step + 1)
            images, targets = augmented.batch(picks, plain=plain)
            loss = model(images.to(device), targets.to(device))["total_loss"]
            losses.append(loss.item())
            run.show_metrics(loss=losses[-1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update(model)
            step += 1
            if step not in measured:
                continue
            run.log_curve("loss", step, sum(losses) / len(losses))
            losses.clear()
            if validation:
                current_loss = _validation_loss(average.ema, validation, device)
                run.log_curve("validation_loss", step, current_loss)
                run.log_metrics(validation_loss=round(current_loss, 4))
    if len(training) < len(data):
        run.log_metrics(validation_images=len(held_back))
    run.log_metrics(steps=step)
    save_file({name: tensor.cpu().contiguous() for name, tensor in average.ema.state_dict().items()}, run.workdir / MODEL)
    spec.save(run.workdir / SPEC)


def _validation_loss(model: Any, batches: Sequence[tuple[Tensor, Tensor]], device: Any) -> float:
    """The mean loss per image of the moving average of the weights, without the L1 distance, so that it stays comparable.

    YOLOX's head computes losses in training mode only; everything else is in evaluation mode, in which BatchNorm keeps its
    statistics.
    """
    head = model.head
    use_l1, head.use_l1 = head.use_l1, False
    model.training = head.training = True
    total, images = 0.0, 0
    with torch.no_grad():
        for pixels, targets in batches:
            total += model(pixels.to(device), targets.to(device))["total_loss"].item() * len(pixels)
            images += len(pixels)
    head.use_l1 = use_l1
    model.eval()
    return total / images


def _set_norm_momentum(model: nn.Module, steps: int) -> None:
    """Raises BatchNorm's momentum in short trainings, to 8 / `steps` and at most torch's default of 0.1.

    With YOLOX's momentum of 0.03, the initial statistics still have a weight of 16 % after 60 steps. From 267 steps on YOLOX's is kept.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = min(max(8 / steps, module.momentum), 0.1)


def _optimizer(options: YOLOX, experiment: Any, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    """The optimizer, and YOLOX's schedule, in steps: a warm-up, a cosine decay to a twentieth, and that rate for the `plain_share`."""
    experiment.weight_decay = options.weight_decay
    experiment.max_epoch = steps
    experiment.warmup_epochs = max(round(options.warmup_share * steps), 1)
    experiment.no_aug_epochs = round(options.plain_share * steps)
    optimizer: torch.optim.Optimizer = experiment.get_optimizer(options.batch_size)  # no weight decay of biases and BatchNorms
    if options.optimizer == "sgd":
        peak = options.learning_rate or experiment.basic_lr_per_img * options.batch_size
    else:
        peak = options.learning_rate or 2e-3
        groups = [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in optimizer.param_groups]
        optimizer = torch.optim.AdamW(groups)
    return optimizer, experiment.get_lr_scheduler(peak, 1)
