"""Draws the README's picture: rendered scenes, and what the two shipped diffusion models make of four captions.

python contact_sheet.py --out ../samples.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from diffusion import PROMPTS
from PIL import Image, ImageDraw, ImageFont
from scenes import SIZE, render
from synthbench_checkpoints import WEIGHTS

COLUMNS, SHOWN, TITLE = 8, 144, 22


def main() -> None:
    """Writes one JPEG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = {"rendered scenes of the domain `broad`": [Image.fromarray(render(number)[0]) for number in range(COLUMNS)]}
    for name in ("small-sd15", "small-sdxl"):
        pipe = DiffusionPipeline.from_pretrained(WEIGHTS / name, torch_dtype=torch.float32, safety_checker=None)
        pipe.set_progress_bar_config(disable=True)
        noise = torch.Generator().manual_seed(7)
        prompts = list(PROMPTS) * (COLUMNS // len(PROMPTS))
        rows[f"sampled by {name}: 30 steps of DDIM, guidance 3"] = pipe(
            prompts, num_inference_steps=30, guidance_scale=3.0, height=SIZE, width=SIZE, generator=noise
        ).images
    sheet = Image.new("RGB", (COLUMNS * SHOWN, len(rows) * (SHOWN + TITLE)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (title, images) in enumerate(rows.items()):
        top = row * (SHOWN + TITLE)
        draw.text((4, top + 3), title, fill="black", font=ImageFont.load_default(14))
        for column, image in enumerate(images):
            sheet.paste(image.resize((SHOWN - 4, SHOWN - 4), Image.Resampling.LANCZOS), (column * SHOWN + 2, top + TITLE))
    sheet.save(given.out, quality=88)


if __name__ == "__main__":
    main()
