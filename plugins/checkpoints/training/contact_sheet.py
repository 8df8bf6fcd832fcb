"""Draws the README's pictures: rendered scenes, and what shipped diffusion models make of four captions.

python contact_sheet.py --names small-sd15 small-sdxl --scenes --out ../samples.jpg
python contact_sheet.py --names photo-sd15 photo-sdxl --out ../samples-photo.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from diffusion import PROMPTS
from photo_diffusion import PHOTO_PROMPTS
from PIL import Image, ImageDraw, ImageFont
from scenes import render
from synthbench_checkpoints import WEIGHTS

COLUMNS, SHOWN, TITLE = 8, 144, 22


def main() -> None:
    """Writes one JPEG."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--names", nargs="+", required=True, help="shipped checkpoints, or folders")
    parser.add_argument("--scenes", action="store_true", help="begin with a row of rendered scenes")
    parser.add_argument("--guidance-scale", type=float, default=3.0)
    given = parser.parse_args()
    rows: dict[str, list[Image.Image]] = {}
    if given.scenes:
        rows["rendered scenes of the domain `broad`"] = [Image.fromarray(render(number)[0]) for number in range(COLUMNS)]
    for name in given.names:
        folder = WEIGHTS / name if (WEIGHTS / name).is_dir() else Path(name)
        pipe = DiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, safety_checker=None)
        pipe.set_progress_bar_config(disable=True)
        noise = torch.Generator().manual_seed(7)
        known = PHOTO_PROMPTS if "photo" in folder.name else PROMPTS
        side = pipe.unet.config.sample_size * pipe.vae_scale_factor
        rows[f"sampled by {folder.name}: 30 steps of DDIM, guidance {given.guidance_scale:g}"] = pipe(
            list(known) * (COLUMNS // len(known)),
            num_inference_steps=30,
            guidance_scale=given.guidance_scale,
            height=side,
            width=side,
            generator=noise,
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
