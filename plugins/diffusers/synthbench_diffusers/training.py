"""Fine-tuning: the loop of diffusers' DreamBooth scripts, for full weights and LoRA, SD-1.5 and SDXL.

Everything random is drawn from the seed and the number of the step, not from one generator's stream, so that a fit that
resumes from a saved state ends with the same weights as an uninterrupted one.
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

# Defaults of diffusers' scripts for options that the recipe does not have. Their betas and epsilon are torch's defaults.
MAX_GRAD_NORM = 1.0
ADAM_WEIGHT_DECAY = 1e-2


def fit(recipe: Recipe, references: ImageSet, run: Run) -> None:
    """See `Recipe.fit`."""
    if not len(references):
        raise SynthbenchError(f"{recipe.name}: there are no references to train on")
    pipe = open_pipeline(recipe, run)
    check_size(pipe, recipe.resolution, "training squares")
    pictures = [picture.pixels() for picture in references]
    prior = class_images(recipe, pipe.to(run.device), run) if recipe.with_prior_preservation else []
    trained = add_trainable(recipe, pipe, run.seed)
    pipe.to(run.device)
    squares = [Squares(images, recipe.resolution, recipe.center_crop, recipe.random_flip) for images in (pictures, prior) if images]
    losses = Trainer(recipe, pipe, trained, [Latents(pipe.vae, each) for each in squares], run).train()
    save_fitted(recipe, pipe, run.workdir)
    tenth = max(len(losses) // 10, 1)
    mean_losses = {"first_loss": float(np.mean(losses[:tenth])), "last_loss": float(np.mean(losses[-tenth:]))}
    run.log_metrics(steps=len(losses), trained_parameters=sum(weight.numel() for weight in trained.values()), **mean_losses)
    summary = {"generator": recipe.name, "checkpoint": recipe.pretrained_model_name_or_path, "steps": len(losses), **mean_losses}
    (run.workdir / "fitted.json").write_text(json.dumps(summary, indent=1))
    state.remove(run.workdir)
    shutil.rmtree(run.workdir / "class_images", ignore_errors=True)


@dataclass
class Trainer:
    """The training loop. sources: latents of the references and, with prior preservation, of the class images."""

    recipe: Recipe
    pipe: Any
    trained: dict[str, Any]
    sources: list[Latents]
    run: Run

    def __post_init__(self) -> None:
        self.dtype = working_dtype(self.recipe, self.run.device)
        self.device_type = torch.device(self.run.device).type
        self.noise_scheduler = DDPMScheduler.from_config(self.pipe.scheduler.config)
        self.prediction_type = self.noise_scheduler.config.prediction_type
        if self.prediction_type not in {"epsilon", "v_prediction"}:
            source = self.recipe.pretrained_model_name_or_path
            raise SynthbenchError(f"{source}: its prediction_type is {self.prediction_type!r}; supported: epsilon, v_prediction")
        self.optimizer = _optimizer(self.recipe, list(self.trained.values()))
        self.scaler = torch.amp.GradScaler(self.device_type, enabled=self.dtype == torch.float16)
        self.prompts = [self.recipe.instance_prompt, self.recipe.class_prompt][: len(self.sources)]
        with torch.no_grad():
            self.frozen = [] if self.recipe.train_text_encoder else [encode(self.pipe, prompt) for prompt in self.prompts]

    def train(self) -> list[float]:
        """Trains from the last saved state, or from the start. Returns the loss of every step."""
        steps, every = self.recipe.total_steps, self.recipe.checkpointing_steps
        progress = state.Progress(self.trained, self.optimizer, self.scaler)
        state.load(self.run, self.recipe, progress)
        for step in self.run.track(range(len(progress.losses), steps), "fit", unit="steps"):
            progress.losses.append(self.step(step))
            self.run.show_metrics(loss=progress.losses[-1])
            if every and (step + 1) % every == 0 and step + 1 < steps:
                state.save(self.run, self.recipe, progress)
        return progress.losses

    def step(self, step: int) -> float:
        """One optimizer step. Returns its mean loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        total = 0.0
        for part in range(self.recipe.gradient_accumulation_steps):
            loss = self.loss(step * self.recipe.gradient_accumulation_steps + part) / self.recipe.gradient_accumulation_steps
            self.scaler.scale(loss).backward()
            total += float(loss.detach())
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.trained.values(), MAX_GRAD_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return total

    def loss(self, number: int) -> Any:
        """The loss of forward pass `number`: a scalar tensor with gradients."""
        drawn = list(self._draw(number))
        latents = torch.cat([latent for latent, _, _ in drawn])
        times = torch.tensor([time for _, _, time in drawn])
        noise = self._noise(number, latents.shape)
        noisy = self.noise_scheduler.add_noise(latents, noise, times)
        target = noise if self.prediction_type == "epsilon" else self.noise_scheduler.get_velocity(latents, noise, times)
        with torch.autocast(self.device_type, self.dtype, enabled=self.dtype != torch.float32):
            conditions = Condition.joined(each.repeated(self.recipe.batch_size) for each in self._conditions())
            arguments = conditions.arguments([size for _, size, _ in drawn])
            predicted = self.pipe.unet(noisy.to(self.run.device, self.dtype), times.to(self.run.device), **arguments).sample
        losses = functional.mse_loss(predicted.float(), target.to(self.run.device), reduction="none").mean((1, 2, 3))
        references, *prior = (losses * self._loss_weights(times).to(losses)).split(self.recipe.batch_size)
        return references.mean() + sum(self.recipe.prior_loss_weight * part.mean() for part in prior)

    def _conditions(self) -> list[Condition]:
        return self.frozen or [encode(self.pipe, prompt) for prompt in self.prompts]

    def _draw(self, number: int) -> Iterator[tuple[Any, SizeAndCrop, int]]:
        """Latents, size and crop, and timestep of each image of forward pass `number`: first references, then class images."""
        for source, latents in enumerate(self.sources):
            count = len(latents.squares)
            for turn in range(number * self.recipe.batch_size, (number + 1) * self.recipe.batch_size):
                order = np.random.default_rng([self.run.seed, source, turn // count]).permutation(count)
                generator = torch.Generator().manual_seed(derive_seed(self.run.seed, "image", source, turn))
                time = int(torch.randint(self.noise_scheduler.config.num_train_timesteps, (), generator=generator))
                yield *latents.draw(int(order[turn % count]), generator), time

    def _noise(self, number: int, shape: Any) -> Any:
        return torch.randn(shape, generator=torch.Generator().manual_seed(derive_seed(self.run.seed, "noise", number)))

    def _loss_weights(self, times: Any) -> Any:
        """Min-SNR weights of the timesteps, or ones without `snr_gamma`."""
        if self.recipe.snr_gamma is None:
            return torch.ones(len(times))
        ratio = compute_snr(self.noise_scheduler, times)
        return ratio.clamp(max=self.recipe.snr_gamma) / (ratio if self.prediction_type == "epsilon" else ratio + 1)

    def _rate(self, step: int) -> float:
        share = (1 + math.cos(math.pi * step / self.recipe.total_steps)) / 2 if self.recipe.lr_scheduler == "cosine" else 1.0
        return self.recipe.rate * share


def _optimizer(recipe: Recipe, weights: list[Any]) -> Any:
    """AdamW with the scripts' defaults. Raises SynthbenchError if 8-bit Adam is not installed."""
    if not recipe.use_8bit_adam:
        return torch.optim.AdamW(weights, lr=recipe.rate, weight_decay=ADAM_WEIGHT_DECAY)
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        hint = "install it, or set use_8bit_adam = false"
        raise SynthbenchError(f"{recipe.name}: use_8bit_adam needs bitsandbytes, which cannot be imported ({error}); {hint}") from None
    return AdamW8bit(weights, lr=recipe.rate, weight_decay=ADAM_WEIGHT_DECAY)
