"""Trains a small base model with the layout of SD-1.5 or SDXL on captioned scenes of the `broad` domain.

    python diffusion.py --layout sd --vae vae --out sd --cache cache --steps 1900
    python diffusion.py --layout sdxl --vae vae --out sdxl --cache cache --steps 750 --start sd

`--start` takes over every weight of another UNet that has the same name and shape; the layouts differ in their text
encoders, so cross-attention keys and values and the added embeddings start afresh.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.training_utils import EMAModel
from PIL import Image
from scenes import SIZE, load
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

PROMPTS = (
    "a photo of many red apples on a wide tree, evening light",
    "a photo of few red apples on a round tree, sunny light",
    "a photo of many oranges on a tall tree, cloudy light",
    "a photo of many green apples on a wide tree, sunny light",
)


def tokenizer_for(captions: list[str], out: Path) -> CLIPTokenizer:
    """A CLIP tokenizer whose byte pair merges were learned from the captions, so that their words are one token."""
    learned = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learned.pre_tokenizer = pre_tokenizers.Whitespace()
    learned.train_from_iterator(captions, trainers.BpeTrainer(vocab_size=600, end_of_word_suffix="</w>", show_progress=False))
    merges = [tuple(merge) for merge in json.loads(learned.to_str())["model"]["merges"]]
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = symbols + [symbol + "</w>" for symbol in symbols] + ["".join(merge) for merge in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    made = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)
    made.save_pretrained(out)
    return made


def text_config(tokenizer: CLIPTokenizer, width: int) -> CLIPTextConfig:
    """A CLIP text encoder of two layers."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=width // 32,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


@dataclass
class Base:
    """The parts that learn, and how a batch of token ids becomes the UNet's conditioning."""

    tokenizer: CLIPTokenizer
    encoders: nn.ModuleList
    unet: UNet2DConditionModel
    size: int = SIZE

    @property
    def is_xl(self) -> bool:
        """Two encoders and added time ids."""
        return len(self.encoders) == 2

    def condition(self, ids: Tensor, originals: Tensor | None = None) -> dict[str, object]:
        """Keyword arguments of the UNet for token ids int64 (N, 77).

        originals: for SDXL, sides int64 (N,) of the images before they were scaled, in pixels; default: `size`.
        """
        if not self.is_xl:
            return {"encoder_hidden_states": self.encoders[0](ids)[0]}
        first = self.encoders[0](ids, output_hidden_states=True)
        second = self.encoders[1](ids, output_hidden_states=True)
        # As StableDiffusionXLPipeline does: the last hidden layer but one of each encoder, the second one's projection.
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)
        sizes = torch.tensor([self.size, self.size, 0, 0, self.size, self.size], device=ids.device).repeat(len(ids), 1)
        if originals is not None:
            sizes[:, :2] = originals[:, None]
        return {"encoder_hidden_states": states, "added_cond_kwargs": {"text_embeds": second.text_embeds, "time_ids": sizes}}


def build(layout: str, tokenizer: CLIPTokenizer, start: Path | None, size: int = SIZE, **options: object) -> Base:
    """Fresh encoders and a UNet, the latter with what fits of `start`. options: more of `UNet2DConditionModel`."""
    widths = (128,) if layout == "sd" else (96, 128)
    encoders: list[nn.Module] = [CLIPTextModel(text_config(tokenizer, widths[0]))]
    added: dict[str, object] = {}
    if layout == "sdxl":
        encoders.append(CLIPTextModelWithProjection(text_config(tokenizer, widths[1])))
        added = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 32,
            "projection_class_embeddings_input_dim": widths[1] + 6 * 32,
        }
    unet = UNet2DConditionModel(
        sample_size=size // 4,
        block_out_channels=(64, 96, 160),
        layers_per_block=1,
        cross_attention_dim=sum(widths),
        attention_head_dim=[2, 3, 5],  # diffusers' name for the number of heads
        norm_num_groups=16,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        **added,
        **options,
    )
    if start is not None:
        own = unet.state_dict()
        taken = UNet2DConditionModel.from_pretrained(start / "unet").state_dict()
        fitting = {name: value.float() for name, value in taken.items() if name in own and own[name].shape == value.shape}
        unet.load_state_dict(fitting, strict=False)
        print(json.dumps({"taken over": len(fitting), "of": len(own)}), flush=True)
    return Base(tokenizer, nn.ModuleList(encoders), unet, size)


@torch.no_grad()
def encode(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Scaled latents float (2 N, 4, 24, 24) of images uint8 (N, 3, 96, 96) and then of their mirror images."""
    latents = []
    for flipped in (False, True):
        for batch in images.split(64):
            pixels = batch.to(vae.device) / 127.5 - 1
            latents.append(vae.encode(pixels.flip(-1) if flipped else pixels).latent_dist.mean)
    return torch.cat(latents) * vae.config.scaling_factor


def main() -> None:
    """Trains, and saves a pipeline in half precision every 600 steps and at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layout", choices=("sd", "sdxl"), required=True)
    for name in ("--vae", "--out", "--cache"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(given.seed)
    given.out.mkdir(parents=True, exist_ok=True)
    scenes = load(given.images, given.cache)
    vae = AutoencoderKL.from_pretrained(given.vae).float().to(device)
    latents = encode(vae, torch.from_numpy(scenes.images).permute(0, 3, 1, 2))
    tokenizer = tokenizer_for(scenes.captions, given.out / "tokenizer")
    base = build(given.layout, tokenizer, given.start)
    base.unet.to(device, memory_format=torch.channels_last)
    base.encoders.to(device)
    ids = tokenizer(["", *scenes.captions], padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids.to(device)
    learning = [*base.unet.parameters(), *base.encoders.parameters()]
    optimizer = torch.optim.AdamW(learning, lr=given.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine(step, given.steps))
    ema = EMAModel(learning, decay=0.997)
    noiser = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
    started = time.monotonic()
    total = 0.0
    with (given.out / "training.jsonl").open("w") as log:
        for step in range(given.steps):
            chosen = torch.randint(0, len(latents), (given.batch,), device=device)
            caption = chosen % given.images + 1
            caption[torch.rand(given.batch, device=device) < 0.1] = 0  # unconditional, for guidance
            clean = latents[chosen]
            noise = torch.randn_like(clean)
            times = torch.randint(0, 1000, (given.batch,), device=device)
            noisy = noiser.add_noise(clean, noise, times).contiguous(memory_format=torch.channels_last)
            predicted = base.unet(noisy, times, **base.condition(ids[caption])).sample
            loss = F.mse_loss(predicted, noise)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            schedule.step()
            ema.step(learning)
            total += loss.item()
            if step % 50 == 49:
                print(
                    json.dumps({"step": step + 1, "loss": round(total / 50, 5), "seconds": round(time.monotonic() - started, 1)}),
                    file=log,
                    flush=True,
                )
                total = 0.0
            if step % 600 == 599 or step + 1 == given.steps:
                ema.store(learning)
                ema.copy_to(learning)
                save(base, vae, given.out, device)
                ema.restore(learning)


def warm_cosine(step: int, steps: int) -> float:
    """The learning rate's factor: up over 100 steps, then down along a cosine to a twentieth."""
    return min(1.0, (step + 1) / 100) * (0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2)


def pipeline(base: Base, vae: AutoencoderKL) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    """The parts as a pipeline of diffusers, with DDIM."""
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    common = {"vae": vae, "tokenizer": base.tokenizer, "text_encoder": base.encoders[0], "unet": base.unet, "scheduler": scheduler}
    if base.is_xl:
        pipe = StableDiffusionXLPipeline(
            **common, text_encoder_2=base.encoders[1], tokenizer_2=base.tokenizer, force_zeros_for_empty_prompt=False, add_watermarker=False
        )
    else:
        pipe = StableDiffusionPipeline(**common, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def save(base: Base, vae: AutoencoderKL, out: Path, device: str, prompts: list[str] | None = None) -> None:
    """Writes a pipeline in half precision, and a sheet of samples of the prompts beside it; an empty list gives no sheet."""
    pipe = pipeline(base, vae).to(device)
    kept = [{name: value.clone() for name, value in part.state_dict().items()} for part in (vae, base.unet, base.encoders)]
    prompts = list(PROMPTS) * 4 if prompts is None else prompts
    if prompts:
        shown = base.size * 2
        images = pipe(
            prompts,
            num_inference_steps=20,
            guidance_scale=3.0,
            height=base.size,
            width=base.size,
            generator=torch.Generator(device).manual_seed(1),
        ).images
        sheet = Image.new("RGB", (shown * min(8, len(images)), shown * math.ceil(len(images) / 8)))
        for number, image in enumerate(images):
            sheet.paste(image.resize((shown, shown)), (number % 8 * shown, number // 8 * shown))
        sheet.save(out / "samples.png")
    pipe.vae.register_to_config(_name_or_path="vae")  # not the folder of this machine that it was read from
    pipe.to(torch.float16).save_pretrained(out, max_shard_size="7MB")
    for part, values in zip((vae, base.unet, base.encoders), kept, strict=True):
        part.float().load_state_dict(values)


if __name__ == "__main__":
    main()
