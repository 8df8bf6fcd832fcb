"""Checkpoints small enough for a test: the layout of the real ones, random weights, a byte tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TOKENS = 77
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False, "set_alpha_to_one": False}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {
        "sd": save_sd(folder / "sd"),
        "sdxl": save_sdxl(folder / "sdxl"),
        "distilled": save_sd(folder / "distilled", time_cond_proj_dim=8),
        "pickled": save_sd(folder / "pickled", safe_serialization=False),
    }


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return byte_tokenizer()


def save_sd(folder: Path, time_cond_proj_dim: int | None = None, **saving: Any) -> Path:
    """A StableDiffusionPipeline whose VAE downscales by 4. time_cond_proj_dim: of a UNet that takes the guidance scale as an input."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    pipe = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text(16)),
        tokenizer=byte_tokenizer(),
        unet=_unet(cross_attention_dim=16, time_cond_proj_dim=time_cond_proj_dim),
        scheduler=DDIMScheduler(**SCHEDULE, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder, **saving)
    return folder


def save_sdxl(folder: Path) -> Path:
    """A StableDiffusionXLPipeline whose VAE downscales by 4, with two text encoders, pooled text, size and crop."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 8 * 6 + 24}
    pipe = StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text(16)),
        text_encoder_2=CLIPTextModelWithProjection(_text(24)),
        tokenizer=byte_tokenizer(),
        tokenizer_2=byte_tokenizer(),
        unet=_unet(cross_attention_dim=16 + 24, transformer_layers_per_block=[1, 2], **added),
        scheduler=DDIMScheduler(**SCHEDULE, steps_offset=1),
    )
    pipe.save_pretrained(folder)
    return folder


def byte_tokenizer() -> Any:
    """CLIP's tokenizer without merges: each byte is a token."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in _byte_symbols()]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: number for number, token in enumerate(vocabulary)}, merges=[], model_max_length=TOKENS)


def _byte_symbols() -> list[int]:
    """The 256 characters that byte-level BPE writes for bytes: printable ones unchanged, the others from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [*printable, *range(256, 256 + 256 - len(printable))]


def _text(width: int) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        projection_dim=width,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )


def _vae() -> Any:
    from diffusers import AutoencoderKL

    blocks = 3
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=(8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=32,
    )


def _unet(**options: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=4,
        **options,
    )
