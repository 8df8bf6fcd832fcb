"""One training step of the real Stable Diffusion 1.5 and SDXL architectures, through this plugin's own code.

    python plugins/diffusers/full_size.py sd15 sdxl --device cpu --resolution 256

The weights are random, so no checkpoint is needed. The script shows that the code runs with models of that size, how
many parameters they have, and how much time and memory a step takes. Configurations: the `config.json` files of
stable-diffusion-v1-5/stable-diffusion-v1-5 and stabilityai/stable-diffusion-xl-base-1.0.
Memory on a CPU at 128 px: 3.2 GiB for sd15 and 7.7 GiB for sdxl (bf16 weights, LoRA), 14.7 GiB for sd15-full.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.utils import logging
from synthbench.execution.stage_run import StageRun
from synthbench_diffusers import SD15DreamBooth, SDXLLora
from synthbench_diffusers.references import Latents, Squares
from synthbench_diffusers.trainable import add_trainable
from synthbench_diffusers.training import Trainer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

if TYPE_CHECKING:
    from synthbench_diffusers.recipe import Recipe

GIB = 2**30
UNET15 = {
    "sample_size": 64,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
UNETXL = {
    "sample_size": 128,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 2,
    "transformer_layers_per_block": (1, 2, 10),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}
CLIP_BIGG = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False, "steps_offset": 1}


def random_model(build: Callable[[], Any], dtype: Any, device: str) -> Any:
    """A model with random weights. Skips the constructor's fp32 copy and slow initialization."""
    with torch.device("meta"):
        model = build()
    model = model.to(dtype).to_empty(device=device)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.fill_(float(name.endswith("weight")))
            else:
                weight.normal_(std=0.02)
        for name, value in model.named_buffers():
            if name.endswith("position_ids"):
                value.copy_(torch.arange(value.shape[-1]).expand(value.shape))
    return model


def text_encoder(kind: Any, options: dict[str, Any], dtype: Any, device: str) -> Any:
    """A CLIP text encoder."""
    config = CLIPTextConfig(vocab_size=49408, max_position_embeddings=77, eos_token_id=2, **options)
    return random_model(lambda: kind(config), dtype, device)


def vae(scaling_factor: float, device: str) -> Any:
    """The VAE of both architectures, which downscales by 8."""
    options = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "latent_channels": 4,
        "scaling_factor": scaling_factor,
    }
    return random_model(lambda: AutoencoderKL(**options), torch.float32, device)


def tokenizer() -> Any:
    """A CLIP tokenizer of letters, with CLIP's start and end tokens: no vocabulary needs to be downloaded."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = {token: number for number, token in enumerate([*letters, *(f"{letter}</w>" for letter in letters)])}
    return CLIPTokenizer(vocab=vocabulary | {"<|startoftext|>": 49406, "<|endoftext|>": 49407}, merges=[], model_max_length=77)


def build(recipe: Recipe, dtype: Any, device: str) -> Any:
    """The pipeline with random weights."""
    unet_dtype = torch.float32 if recipe.full else dtype
    scheduler = DDIMScheduler(**SCHEDULE)
    if isinstance(recipe, SDXLLora):
        return StableDiffusionXLPipeline(
            vae=vae(0.13025, device),
            text_encoder=text_encoder(CLIPTextModel, CLIP_L, dtype, device),
            text_encoder_2=text_encoder(CLIPTextModelWithProjection, CLIP_BIGG, dtype, device),
            tokenizer=tokenizer(),
            tokenizer_2=tokenizer(),
            unet=random_model(lambda: UNet2DConditionModel(**UNETXL), dtype, device),
            scheduler=scheduler,
            add_watermarker=False,
        )
    return StableDiffusionPipeline(
        vae=vae(0.18215, device),
        text_encoder=text_encoder(CLIPTextModel, CLIP_L, dtype, device),
        tokenizer=tokenizer(),
        unet=random_model(lambda: UNet2DConditionModel(**UNET15), unet_dtype, device),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def check(recipe: Recipe, device: str, threads: int) -> str:
    """Builds the model and trains one step. Returns a description with time and memory."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    pipe = build(recipe, torch.bfloat16, device)
    sizes = {
        name: sum(weight.numel() for weight in part.parameters()) for name, part in pipe.components.items() if hasattr(part, "parameters")
    }
    trained = add_trainable(recipe, pipe, seed=0)
    pipe.to(device)
    built = time.perf_counter()
    image = np.random.default_rng(0).integers(0, 256, (recipe.resolution, recipe.resolution, 3), np.uint8)
    squares = Squares([image], recipe.resolution, recipe.center_crop, recipe.random_flip)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, pipe, trained, [Latents(pipe.vae, squares)], StageRun(Path(folder), device=device, threads=threads))
        loss = float(trainer.step(0))  # waits for the GPU
    done = time.perf_counter()
    peak = torch.cuda.max_memory_allocated(device) if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return "\n".join(
        [
            f"{recipe.name}, {'full weights' if recipe.full else 'LoRA'}, {recipe.resolution} px, {device}",
            *(f"  {name}: {size:,} parameters" for name, size in sizes.items()),
            f"  trained: {sum(weight.numel() for weight in trained.values()):,}",
            f"  built in {built - started:.0f} s, a step in {done - built:.1f} s, loss {loss:.3f}, peak {peak / GIB:.1f} GiB",
        ]
    )


def main() -> None:
    """Checks the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", choices=("sd15", "sd15-full", "sdxl"), help="sd15-full needs 15 GiB")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    shared: dict[str, Any] = {
        "resolution": arguments.resolution,
        "mixed_precision": "bf16",
        "gradient_checkpointing": True,
        "gradient_accumulation_steps": 1,
    }
    recipes: dict[str, Recipe] = {
        "sd15": SD15DreamBooth(method="lora", **shared),
        "sd15-full": SD15DreamBooth(**shared),
        "sdxl": SDXLLora(**shared),
    }
    for name in arguments.models:
        print(check(recipes[name], arguments.device, arguments.threads), flush=True)  # noqa: T201 - a script that people run


if __name__ == "__main__":
    main()
