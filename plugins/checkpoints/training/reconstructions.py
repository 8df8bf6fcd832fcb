"""Compares autoencoders on held-out photographs: L1, PSNR, and a picture of the photographs and their reconstructions.

    python reconstructions.py --vae before after --photographs FOLDER --cache cache --out sheet.png

The picture shows photographs, so it does not belong into the repository.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import photographs
import torch
from diffusers import AutoencoderKL
from photo_autoencoder import SIZE, quality, whole
from PIL import Image

SHOWN, COLUMNS = 192, 8


def main() -> None:
    """Prints a line of JSON for each autoencoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", type=Path, nargs="+", required=True)
    for name in ("--photographs", "--cache", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(1)
    _, held_out = photographs.load(given.photographs, given.cache)
    images = whole(torch.from_numpy(held_out.images[: given.count]).permute(0, 3, 1, 2), SIZE)
    chosen = images[:: max(1, len(images) // COLUMNS)][:COLUMNS]
    rows = [chosen]
    for folder in given.vae:
        model = AutoencoderKL.from_pretrained(folder).float().eval().to(memory_format=torch.channels_last)
        print(json.dumps({"vae": str(folder), **quality(model, images)}), flush=True)
        with torch.no_grad():
            drawn = model.decode(model.encode(chosen / 127.5 - 1).latent_dist.mean).sample
        rows.append(((drawn.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))
    sheet = Image.new("RGB", (SHOWN * COLUMNS, SHOWN * len(rows)))
    for row, images in enumerate(rows):
        for column, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
            sheet.paste(Image.fromarray(image).resize((SHOWN, SHOWN), Image.Resampling.NEAREST), (column * SHOWN, row * SHOWN))
    sheet.save(given.out)


if __name__ == "__main__":
    main()
