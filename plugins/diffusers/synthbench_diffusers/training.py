"""Fine-tuning: the loop of diffusers' DreamBooth examples, for whole weights and for LoRA, SD-1.5 and SDXL.

Everything random is drawn from the seed and the number of the step, not from a running generator, so that a fit that
goes on from a saved state ends where an uninterrupted one does.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from synthbench import SynthbenchError, derive_seed
from torch.nn import functional

from synthbench_diffusers import state
from synthbench_diffusers.checkpoint import open_pipeline, working_dtype
from synthbench_diffusers.class_images import class_images
from synthbench_diffusers.conditioning import Condition, encode
from synthbench_diffusers.references import Latents, Squares
from synthbench_diffusers.sampling import check_size
from synthbench_diffusers.trainable import add_trainable, save_fitted

if TYPE_CHECKING:
    from synthbench import ImageSet, Run

    from synthbench_diffusers.conditioning import SizeAndCrop
    from synthbench_diffusers.recipe import Recipe


def fit(recipe: Recipe, references: ImageSet, run: Run) -> None:
    """See `Recipe.fit`."""
    if not len(references):
        raise SynthbenchError(f"{recipe.name}: no references to learn from; the suite's references are empty")
    pipe = open_pipeline(recipe, run)
    check_size(pipe, recipe.resolution, "training squares")
    pictures = [picture.pixels() for picture in references]
    prior = class_images(recipe, pipe.to(run.device), run) if recipe.prior_preservation else []
    trained = add_trainable(recipe, pipe, run.seed)
    pipe.to(run.device)
    squares = [Squares(images, recipe.resolution, recipe.crop, recipe.flip) for images in (pictures, prior) if images]
    losses = Trainer(recipe, pipe, trained, [Latents(pipe.vae, each) for each in squares], run).train()
    save_fitted(recipe, pipe, run.workdir)
    shorter = max(len(losses) // 10, 1)
    facts = {"first_loss": float(np.mean(losses[:shorter])), "last_loss": float(np.mean(losses[-shorter:]))}
    run.log_metrics(steps=len(losses), trained_parameters=sum(weight.numel() for weight in trained.values()), **facts)
    about = {"generator": recipe.name, "checkpoint": recipe.checkpoint, "steps": len(losses), **facts}
    (run.workdir / "fitted.json").write_text(json.dumps(about, indent=1))
    state.remove(run.workdir)
    shutil.rmtree(run.workdir / "class_images", ignore_errors=True)


@dataclass
class Trainer:
    """The loop. `sources`: latents of the references, and of class images where the prior is preserved."""

    recipe: Recipe
    pipe: Any
    trained: dict[str, Any]
    sources: list[Latents]
    run: Run

    def __post_init__(self) -> None:
        self.dtype = working_dtype(self.recipe, self.run.device)
        self.kind = torch.device(self.run.device).type
        self.schedule = DDPMScheduler.from_config(self.pipe.scheduler.config)
        if self.schedule.config.prediction_type not in {"epsilon", "v_prediction"}:
            raise SynthbenchError(
                f"{self.recipe.checkpoint}: predicts {self.schedule.config.prediction_type!r}, not epsilon or v_prediction"
            )
        self.optimizer = _optimizer(self.recipe, list(self.trained.values()))
        self.scaler = torch.amp.GradScaler(self.kind, enabled=self.dtype == torch.float16)
        self.prompts = [self.recipe.instance_prompt, self.recipe.class_prompt][: len(self.sources)]
        with torch.no_grad():
            self.frozen = [] if self.recipe.train_text_encoder else [encode(self.pipe, prompt) for prompt in self.prompts]

    def train(self) -> list[float]:
        """Trains from the last saved state on; gives the loss of every step."""
        steps, every = self.recipe.total_steps, self.recipe.checkpoint_every
        progress = state.Progress(self.trained, self.optimizer, self.scaler)
        state.load(self.run, self.recipe, progress)
        for step in self.run.track(range(len(progress.losses), steps), "fit", unit="steps"):
            progress.losses.append(self.step(step))
            self.run.show_metrics(loss=progress.losses[-1])
            if every and (step + 1) % every == 0 and step + 1 < steps:
                state.save(self.run, self.recipe, progress)
        return progress.losses

    def step(self, step: int) -> float:
        """One step of the optimiser; gives its mean loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        total = 0.0
        for part in range(self.recipe.accumulation):
            loss = self.loss(step * self.recipe.accumulation + part) / self.recipe.accumulation
            self.scaler.scale(loss).backward()
            total += float(loss.detach())
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.trained.values(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return total

    def loss(self, number: int) -> Any:
        """The loss of forward pass `number`: a scalar with gradients."""
        drawn = list(self._draw(number))
        latents = torch.cat([latent for latent, _, _ in drawn])
        times = torch.tensor([time for _, _, time in drawn])
        noise = self._noise(number, latents.shape)
        noisy = self.schedule.add_noise(latents, noise, times)
        target = noise if self.schedule.config.prediction_type == "epsilon" else self.schedule.get_velocity(latents, noise, times)
        with torch.autocast(self.kind, self.dtype, enabled=self.dtype != torch.float32):
            told = Condition.joined(each.repeated(self.recipe.batch) for each in self._conditions())
            arguments = told.arguments([size for _, size, _ in drawn])
            found = self.pipe.unet(noisy.to(self.run.device, self.dtype), times.to(self.run.device), **arguments).sample
        each = functional.mse_loss(found.float(), target.to(self.run.device), reduction="none").mean((1, 2, 3))
        own, *prior = (each * self._weights(times).to(each)).split(self.recipe.batch)
        return own.mean() + sum(self.recipe.prior_weight * part.mean() for part in prior)

    def _conditions(self) -> list[Condition]:
        return self.frozen or [encode(self.pipe, prompt) for prompt in self.prompts]

    def _draw(self, number: int) -> Iterator[tuple[Any, SizeAndCrop, int]]:
        """Latents, size and crop, and time step of each image of forward pass `number`: first references, then class images."""
        for source, latents in enumerate(self.sources):
            count = len(latents.squares)
            for turn in range(number * self.recipe.batch, (number + 1) * self.recipe.batch):
                order = np.random.default_rng([self.run.seed, source, turn // count]).permutation(count)
                generator = torch.Generator().manual_seed(derive_seed(self.run.seed, "image", source, turn))
                time = int(torch.randint(self.schedule.config.num_train_timesteps, (), generator=generator))
                yield *latents.draw(int(order[turn % count]), generator), time

    def _noise(self, number: int, shape: Any) -> Any:
        return torch.randn(shape, generator=torch.Generator().manual_seed(derive_seed(self.run.seed, "noise", number)))

    def _weights(self, times: Any) -> Any:
        """Min-SNR weights of the time steps, or ones."""
        if self.recipe.min_snr_gamma is None:
            return torch.ones(len(times))
        ratio = compute_snr(self.schedule, times)
        epsilon = self.schedule.config.prediction_type == "epsilon"
        return ratio.clamp(max=self.recipe.min_snr_gamma) / (ratio if epsilon else ratio + 1)

    def _rate(self, step: int) -> float:
        share = (1 + math.cos(math.pi * step / self.recipe.total_steps)) / 2 if self.recipe.schedule == "cosine" else 1.0
        return self.recipe.rate * share


def _optimizer(recipe: Recipe, weights: list[Any]) -> Any:
    """AdamW as in diffusers' examples: betas 0.9 and 0.999, weight decay 0.01, epsilon 1e-8."""
    if not recipe.adam_8bit:
        return torch.optim.AdamW(weights, lr=recipe.rate, weight_decay=1e-2)
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        mend = "install it, or set adam_8bit = false"
        raise SynthbenchError(f"{recipe.name}: adam_8bit needs bitsandbytes, which does not load ({error}); {mend}") from None
    return AdamW8bit(weights, lr=recipe.rate, weight_decay=1e-2)
