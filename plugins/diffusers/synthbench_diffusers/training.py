"""Fine-tuning: the loop of diffusers' DreamBooth scripts, for full weights and LoRA, SD-1.5 and SDXL.

Everything random is drawn from the seed and the number of the step, not from one generator's stream, so that a fit that
resumes from a saved state ends with the same weights as an uninterrupted one.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
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
from synthbench_diffusers.classes import FITTED, prompts_of, summary_of
from synthbench_diffusers.conditioning import Condition, encode
from synthbench_diffusers.references import Latents, Squares
from synthbench_diffusers.sampling import check_size
from synthbench_diffusers.trainable import add_trainable, save_fitted

if TYPE_CHECKING:
    from synthbench import ImageSet, Run

    from synthbench_diffusers.conditioning import SizeAndCrop
    from synthbench_diffusers.recipe import Recipe

MAX_GRAD_NORM = 1.0  # as in diffusers' scripts, whose betas and epsilon of AdamW are torch's defaults
REFRESH = 0.5  # seconds between two readings of the losses: reading one waits for the GPU


def fit(recipe: Recipe, references: ImageSet, run: Run) -> None:
    """See `Recipe.fit`."""
    if not len(references):
        raise SynthbenchError(f"{recipe.name}: there are no references to train on")
    prompts = prompts_of(recipe, references)
    pipe = open_pipeline(recipe, run)
    check_size(pipe, recipe.resolution, "training squares")
    squares = [Squares.of(recipe, (picture.pixels() for picture in references), run.seed)]
    prior = class_images(recipe, pipe.to(run.device), run) if recipe.with_prior_preservation and recipe.total_steps else []
    trained = add_trainable(recipe, pipe, run.seed)
    pipe.to(run.device)
    if prior:
        squares.append(Squares.of(recipe, prior, run.seed))
    latents = [Latents(pipe.vae, each) for each in squares]
    losses = Trainer(recipe, pipe, trained, latents, run, prompts).train()
    if losses:
        _check_weights(recipe, trained)
        save_fitted(recipe, pipe, run)
    tenth = max(len(losses) // 10, 1)
    mean_losses = {"first_loss": float(np.mean(losses[:tenth])), "last_loss": float(np.mean(losses[-tenth:]))} if losses else {}
    run.log_metrics(steps=len(losses), trained_parameters=sum(weight.numel() for weight in trained.values()), **mean_losses)
    summary = {"generator": recipe.name, "checkpoint": recipe.pretrained_model_name_or_path, "steps": len(losses), **mean_losses}
    summary |= summary_of(recipe, references)
    (run.workdir / FITTED).write_text(json.dumps(summary, indent=1))
    state.remove(run.workdir)


def _check_weights(recipe: Recipe, trained: dict[str, Any]) -> None:
    """Raises SynthbenchError if a weight is not finite: no loss follows the last step, so none would tell."""
    if not all(bool(torch.isfinite(weight).all()) for weight in trained.values()):
        raise SynthbenchError(f"{recipe.name}: weights are not finite after the last step; lower learning_rate, or use another precision")


@dataclass
class Trainer:
    """The training loop. sources: latents of the references and, with prior preservation, of the class images.

    prompts: of each reference; none: the recipe's `instance_prompt` for all.
    """

    recipe: Recipe
    pipe: Any
    trained: dict[str, Any]
    sources: list[Latents]
    run: Run
    prompts: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.dtype = working_dtype(self.recipe, self.run.device)
        self.device_type = torch.device(self.run.device).type
        self.noise_scheduler = DDPMScheduler.from_config(self.pipe.scheduler.config)
        self.prediction_type = self.noise_scheduler.config.prediction_type
        if self.prediction_type not in {"epsilon", "v_prediction"}:
            source = self.recipe.pretrained_model_name_or_path
            raise SynthbenchError(f"{source}: its prediction_type is {self.prediction_type!r}; supported: epsilon, v_prediction")
        self.optimizer = _optimizer(self.recipe, self.trained, self.device_type)
        self.scaler = torch.amp.GradScaler(self.device_type, enabled=self.dtype == torch.float16)
        given = self.prompts or [self.recipe.instance_prompt] * len(self.sources[0].squares)
        self.its_prompts = [given, *([self.recipe.class_prompt] * len(each.squares) for each in self.sources[1:])]
        several = dict.fromkeys(prompt for prompts in self.its_prompts for prompt in prompts)
        with torch.no_grad():
            self.frozen = {} if self.recipe.train_text_encoder else {prompt: encode(self.pipe, prompt) for prompt in several}

    def train(self) -> list[float]:
        """Trains from the last saved state, or from the start. Returns the loss of every step.

        Raises SynthbenchError if a loss is not finite.
        """
        steps = self.recipe.total_steps
        progress = state.Progress(self.trained, self.optimizer, self.scaler)
        state.load(self.run, self.recipe, progress)
        clock = state.Clock(self.recipe.checkpointing_steps)
        unread: list[Any] = []
        shown = time.monotonic()
        for step in self.run.track(range(len(progress.losses), steps), "fit", unit="steps"):
            unread.append(self.step(step))
            is_due = step + 1 < steps and clock.is_due(step + 1)
            if is_due or step + 1 == steps or time.monotonic() - shown > REFRESH:
                progress.losses += self._read(torch.stack(unread).tolist(), len(progress.losses))
                unread, shown = [], time.monotonic()
                self.run.show_metrics(loss=progress.losses[-1])
            if is_due:
                state.save(self.run, self.recipe, progress)
                clock.restart()
        return progress.losses

    def _read(self, losses: list[float], first: int) -> list[float]:
        """The losses, of steps from `first`. Raises SynthbenchError if one is not finite: the weights are lost then."""
        for step, loss in enumerate(losses, start=first):
            if not math.isfinite(loss):
                raise SynthbenchError(
                    f"{self.recipe.name}: the loss of step {step + 1} is {loss}; lower learning_rate, or use another precision"
                )
        return losses

    def step(self, step: int) -> Any:
        """One optimizer step. Returns its mean loss, a scalar tensor on the device."""
        share = self._share_of_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * share
        total: Any = 0.0
        for part in range(self.recipe.gradient_accumulation_steps):
            loss = self.loss(step * self.recipe.gradient_accumulation_steps + part) / self.recipe.gradient_accumulation_steps
            self.scaler.scale(loss).backward()
            total = total + loss.detach()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.trained.values(), MAX_GRAD_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return total

    def loss(self, number: int) -> Any:
        """The loss of forward pass `number`: a scalar tensor with gradients."""
        drawn = list(self._draw(number))
        latents = torch.cat([latent for latent, _, _, _ in drawn])
        times = torch.tensor([time for _, _, time, _ in drawn])
        noise = self._noise(number, latents.shape)
        noisy = self.noise_scheduler.add_noise(latents, noise, times)
        target = noise if self.prediction_type == "epsilon" else self.noise_scheduler.get_velocity(latents, noise, times)
        with torch.autocast(self.device_type, self.dtype, enabled=self.dtype != torch.float32):
            conditions = self._conditions([prompt for _, _, _, prompt in drawn])
            arguments = conditions.arguments([size for _, size, _, _ in drawn])
            predicted = self.pipe.unet(noisy.to(self.run.device, self.dtype), times.to(self.run.device), **arguments).sample
        losses = functional.mse_loss(predicted.float(), target.to(self.run.device), reduction="none").mean((1, 2, 3))
        references, *prior = losses.split(self.recipe.batch_size)
        weights = self._loss_weights(times[: self.recipe.batch_size]).to(losses)  # as in the scripts, not of the prior's loss
        return (references * weights).mean() + sum(self.recipe.prior_loss_weight * part.mean() for part in prior)

    def _conditions(self, prompts: Sequence[str]) -> Condition:
        """Those of a batch. Each prompt is encoded once."""
        encoded = self.frozen or {prompt: encode(self.pipe, prompt) for prompt in dict.fromkeys(prompts)}
        return Condition.joined(encoded[prompt] for prompt in prompts)

    def _draw(self, number: int) -> Iterator[tuple[Any, SizeAndCrop, int, str]]:
        """Latents, size and crop, timestep and prompt of each image of forward pass `number`: first references, then class images."""
        for source, latents in enumerate(self.sources):
            count = len(latents.squares)
            for turn in range(number * self.recipe.batch_size, (number + 1) * self.recipe.batch_size):
                order = np.random.default_rng([self.run.seed, source, turn // count]).permutation(count)
                generator = torch.Generator().manual_seed(derive_seed(self.run.seed, "image", source, turn))
                time = int(torch.randint(self.noise_scheduler.config.num_train_timesteps, (), generator=generator))
                index = int(order[turn % count])
                yield *latents.draw(index, generator), time, self.its_prompts[source][index]

    def _noise(self, number: int, shape: Any) -> Any:
        return torch.randn(shape, generator=torch.Generator().manual_seed(derive_seed(self.run.seed, "noise", number)))

    def _loss_weights(self, times: Any) -> Any:
        """Min-SNR weights of the timesteps, or ones without `snr_gamma`."""
        if self.recipe.snr_gamma is None:
            return torch.ones(len(times))
        ratio = compute_snr(self.noise_scheduler, times)
        return ratio.clamp(max=self.recipe.snr_gamma) / (ratio if self.prediction_type == "epsilon" else ratio + 1)

    def _share_of_rate(self, step: int) -> float:
        return (1 + math.cos(math.pi * step / self.recipe.total_steps)) / 2 if self.recipe.lr_scheduler == "cosine" else 1.0


def _optimizer(recipe: Recipe, trained: dict[str, Any], device_type: str) -> Any:
    """AdamW with the scripts' defaults; fused, because its other forms need several times the memory of a gradient.

    Raises SynthbenchError if 8-bit Adam is not installed.
    """
    unet, encoders = recipe.weight_decay
    parts: list[tuple[bool, float, float]] = [(True, recipe.rate, unet), (False, recipe.text_encoder_rate, encoders)]
    groups = [
        {"params": weights, "lr": rate, "initial_lr": rate, "weight_decay": decay}
        for of_unet, rate, decay in parts
        if (weights := [weight for name, weight in trained.items() if name.startswith("unet.") == of_unet])
    ]
    if not recipe.use_8bit_adam:
        return torch.optim.AdamW(groups, fused=device_type in {"cuda", "cpu"})
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        hint = "install it, or set use_8bit_adam = false"
        raise SynthbenchError(f"{recipe.name}: use_8bit_adam needs bitsandbytes, which cannot be imported ({error}); {hint}") from None
    return AdamW8bit(groups)
