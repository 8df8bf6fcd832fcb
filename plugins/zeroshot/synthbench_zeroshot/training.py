"""Fine-tuning on a training set."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from synthbench import ImageSet, Run, SynthbenchError, curve_steps, derive_seed, training_batches
from torch import nn

from synthbench_zeroshot.data import example, targets
from synthbench_zeroshot.grounding import Grounding
from synthbench_zeroshot.prompts import candidates

if TYPE_CHECKING:
    from synthbench_zeroshot import GroundingDinoDetector

LEARNED = "zero-shot.json"
"""What a detector leaves that learned nothing: its weights are those that it started from."""
TEXT_BACKBONE, IMAGE_BACKBONE = "text_backbone.", ".backbone."


def train(options: GroundingDinoDetector, data: ImageSet, run: Run) -> None:
    """See `GroundingDinoDetector.train`. Raises SynthbenchError if there are no images."""
    if not len(data):
        raise SynthbenchError("grounding-dino: the training set has no images")
    prompts = prompts_of(options, data)
    finder = Grounding.open(options.weights, options.image_size, run)
    parts = finder.parts(prompts)
    if options.max_train_steps == 0:
        (run.workdir / LEARNED).write_text(json.dumps({"prompts": prompts}))
        run.log_metrics(steps=0, parameters=sum(part.numel() for part in finder.model.parameters()))
        return
    if len(parts) > 1:  # the loss compares each query with all categories
        raise SynthbenchError(
            f"grounding-dino: the prompts of {len(prompts)} categories are {len(parts)} texts, and it can be trained with one; "
            "give shorter prompts, or set max_train_steps = 0"
        )
    torch.manual_seed(run.seed)
    model = finder.model.train()
    model.config.auxiliary_loss = True  # as it was pretrained; it changes the loss alone
    optimizer, schedule = optimization(options, model)
    rng = np.random.default_rng(derive_seed("augmentation", run.seed))
    measured = curve_steps(options.max_train_steps)
    step, losses = 0, list[float]()
    for picks in run.track(training_batches(len(data), options.batch_size, options.max_train_steps, run.seed), "train", unit="steps"):
        loss = loss_of(options, finder, data, prompts, picks, rng)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
        optimizer.step()
        schedule.step()
        step += 1
        losses.append(float(loss.detach()))
        run.show_metrics(loss=losses[-1])
        if step in measured:
            run.log_curve("loss", step, sum(losses) / len(losses))
            losses.clear()
    run.log_metrics(steps=step, parameters=sum(part.numel() for part in model.parameters()))
    model.save_pretrained(run.workdir)
    finder.processor.save_pretrained(run.workdir)


def prompts_of(options: GroundingDinoDetector, data: ImageSet) -> list[str]:
    """The prompt of each category."""
    return [prompt for (prompt,) in candidates(data.categories, options.prompts)]


def optimization(options: GroundingDinoDetector, model: Any) -> tuple[Any, Any]:
    """AdamW with a linear warm-up and a cosine decay.

    The image backbone has a learning rate of its own, the text backbone is frozen; norms and biases have no weight decay.
    """
    groups: dict[tuple[bool, bool], list[Any]] = {}
    for name, weight in model.named_parameters():
        backbone = IMAGE_BACKBONE in name
        if TEXT_BACKBONE in name or (backbone and options.backbone_learning_rate_factor == 0):
            weight.requires_grad_(False)
        else:
            groups.setdefault((backbone, weight.ndim > 1 and "embed" not in name), []).append(weight)
    rates = [options.learning_rate * (options.backbone_learning_rate_factor if backbone else 1) for backbone, _ in groups]
    settings = [
        {"params": weights, "lr": rate, "weight_decay": options.weight_decay if decayed else 0.0}
        for ((_, decayed), weights), rate in zip(groups.items(), rates, strict=True)
    ]
    steps = options.max_train_steps
    warm = max(steps // 10, 1)
    rise_and_fall = [lambda step: min((step + 1) / warm, 1) * (1 + math.cos(math.pi * step / steps)) / 2] * len(settings)
    optimizer = torch.optim.AdamW(settings)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rise_and_fall)


def loss_of(
    options: GroundingDinoDetector, finder: Grounding, data: ImageSet, prompts: list[str], picks: list[int], rng: np.random.Generator
) -> Any:
    """The model's own loss on the chosen images, mirrored and resized at random.

    All images of a batch have the same text: transformers' loss (5.23) takes the third image's classes from the second image's text.
    """
    mirrored = rng.random(len(picks)) < options.horizontal_flip
    factor = options.scale_jitter ** rng.uniform(-1, 1)
    examples = [example(data[number], bool(flip)) for number, flip in zip(picks, mirrored, strict=True)]
    inputs = finder.inputs([image for image, _ in examples], prompts, factor)
    device = finder.model.device
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=options.mixed_precision == "bf16" and device.type == "cuda"):
        return finder.model(**inputs, labels=targets([boxes for _, boxes in examples], device)).loss
