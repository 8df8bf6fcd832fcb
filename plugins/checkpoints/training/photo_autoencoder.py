"""Continues the training of a shipped autoencoder on photographs and rendered scenes.

    python photo_autoencoder.py --photographs FOLDER --start ../synthbench_checkpoints/weights/small-sd15/vae \\
        --state STATE --cache cache --out vae --steps 900
    python photo_autoencoder.py ... --state STATE --out vae --steps 2000 --decoder-only

The first command trains all of it. The second goes on with the decoder alone, so a UNet that is trained on the latents
can be trained at the same time. Both go on from `--state` where they are started again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import photographs
import state
import torch
from autoencoder import EarlyFeatures, gradients
from diffusers import AutoencoderKL
from scenes import load
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 128
MEASURED = 32  # held-out photographs, while it trains
LATENT_NOISE = 0.05  # of the latents' standard deviation; a UNet's latents are not as exact as the encoder's


def crops(images: Tensor, count: int, size: int) -> Tensor:
    """Random crops (N, 3, size, size) in -1..1 of images uint8 (M, 3, S, S).

    The images are at a scale at which the whole one has between 128 and 192 pixels, so fruit has the size that it has in
    samples. Half are mirrored, and a quarter have their colour channels in another order, so that red fruit is seen too.
    """
    batch = []
    for number in torch.randint(0, len(images), (count,)).tolist():
        image = images[number]
        side = round(size * image.shape[-1] / float(SIZE * (1 + 0.5 * torch.rand(()))))
        top, left = (int(torch.randint(0, image.shape[-1] - side + 1, ())) for _ in range(2))
        crop = image[None, :, top : top + side, left : left + side].float()
        crop = F.interpolate(crop, (size, size), mode="bilinear", antialias=True, align_corners=False) if side != size else crop
        if torch.rand(()) < 0.25:
            crop = crop[:, torch.randperm(3)]
        batch.append(crop.flip(-1) if torch.rand(()) < 0.5 else crop)
    return torch.cat(batch).clamp(0, 255) / 127.5 - 1


@torch.no_grad()
def quality(model: AutoencoderKL, images: Tensor) -> dict[str, float]:
    """Mean L1, in 0..1, and mean PSNR in decibels of reconstructions of images uint8 (N, 3, S, S)."""
    errors, ratios = [], []
    for batch in images.split(16):
        pixels = (batch / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        drawn = model.decode(model.encode(pixels).latent_dist.mean).sample.clamp(-1, 1)
        difference = (drawn - pixels) / 2
        errors += difference.abs().mean((1, 2, 3)).tolist()
        ratios += (-10 * difference.square().mean((1, 2, 3)).log10()).tolist()
    return {"held_out_l1": round(float(np.mean(errors)), 5), "held_out_psnr": round(float(np.mean(ratios)), 3)}


def whole(images: Tensor, size: int) -> Tensor:
    """Images uint8 (N, 3, size, size), scaled from uint8 (N, 3, S, S)."""
    scaled = [F.interpolate(part.float(), (size, size), mode="bilinear", antialias=True, align_corners=False) for part in images.split(64)]
    return torch.cat(scaled).round().clamp(0, 255).to(torch.uint8)


def export(model: AutoencoderKL, average: state.Average, images: Tensor, out: Path, measure_scale: bool) -> dict[str, float]:
    """Writes the averaged model in half precision and returns its quality on images uint8 (N, 3, S, S)."""
    average.swap()
    model.eval()
    if measure_scale:
        with torch.no_grad():
            latents = torch.cat([model.encode(batch / 127.5 - 1).latent_dist.mean for batch in images.split(16)])
        model.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))
    figures = quality(model, images)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.half().save_pretrained(out)
    model.float().load_state_dict(kept)
    average.swap()
    model.train()
    return figures


def main() -> None:
    """Trains until `--steps`, logs JSON lines, and saves its state and the model regularly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--photographs", "--start", "--state", "--cache", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop this long after the start of this process")
    parser.add_argument("--decoder-only", action="store_true")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=64, help="pixels; small crops show more photographs in the same time")
    parser.add_argument("--scenes", type=int, default=600, help="rendered scenes; one image of a batch in four is of them")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    training, testing = photographs.load(given.photographs, given.cache)
    photos, held_out = (torch.from_numpy(part.images).permute(0, 3, 1, 2) for part in (training, testing))
    held_out = whole(held_out[:MEASURED], SIZE)
    scenes = torch.from_numpy(load(given.scenes, given.cache, SIZE).images).permute(0, 3, 1, 2)
    model = AutoencoderKL.from_pretrained(given.start).float().to(memory_format=torch.channels_last)
    model.register_to_config(sample_size=SIZE)
    features = EarlyFeatures()
    optimizer = torch.optim.AdamW(model.parameters(), lr=given.learning_rate, weight_decay=0.0)
    average = state.Average(model.parameters(), 0.99)
    facts = state.load(given.state, model, optimizer, average)
    encoder = [*model.encoder.parameters(), *model.quant_conv.parameters()]
    if given.decoder_only and not facts.get("frozen"):
        # The UNet's latents come from the averaged encoder, so that is the one that stays.
        average.swap()
        values = [value.detach().clone() for value in average.parameters]
        average.swap()
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), values, strict=True):
                if any(parameter is frozen for frozen in encoder):
                    parameter.copy_(value)
        facts["frozen"] = True
    for parameter in encoder:
        parameter.requires_grad_(not given.decoder_only)
    given.out.mkdir(parents=True, exist_ok=True)
    session = state.Session(facts, given.steps, given.minutes)
    spread = 1 / model.config.scaling_factor
    with (given.out / "training.jsonl").open("a") as log:
        if session.first == 0:
            print(json.dumps({"step": 0, **quality(model, held_out), "seconds": 0.0}), file=log, flush=True)
        for step in range(session.first, given.steps):
            state.seed_step(given.seed, step)
            optimizer.param_groups[0]["lr"] = given.learning_rate * min(1.0, (step + 1) / 50)
            rendered = given.batch // 4
            batch = torch.cat([crops(photos, given.batch - rendered, given.crop), crops(scenes, rendered, given.crop)])
            batch = batch.contiguous(memory_format=torch.channels_last)
            latents = model.encode(batch).latent_dist
            if given.decoder_only:
                drawn = model.decode(latents.mean + LATENT_NOISE * spread * torch.randn_like(latents.mean)).sample
            else:
                drawn = model.decode(latents.sample()).sample
            pixel = (drawn - batch).abs().mean()
            edges = torch.stack([(a - b).abs().mean() for a, b in zip(gradients(drawn), gradients(batch), strict=True)]).sum()
            with torch.no_grad():
                wanted = features(batch)
            look = torch.stack([(a - b).abs().mean() / b.abs().mean() for a, b in zip(features(drawn), wanted, strict=True)]).sum()
            loss = pixel + edges + 0.1 * look + (0.0 if given.decoder_only else 1e-6 * latents.kl().mean())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([weight for weight in model.parameters() if weight.requires_grad], 1.0)
            optimizer.step()
            average.update()
            done, due = step + 1, session.is_due(step + 1)
            if done % 50 and not due:
                continue
            figures = {"step": done, "l1": pixel.item(), "edges": edges.item(), "features": look.item()}
            figures = {name: round(value, 5) for name, value in figures.items()} | {"seconds": session.seconds}
            if due:
                facts |= {"step": done, "seconds": session.seconds}
                state.save(given.state, model, optimizer, average, facts)
                figures |= export(model, average, held_out, given.out, not given.decoder_only)
            print(json.dumps(figures), file=log, flush=True)
            if session.is_last(done):
                break


if __name__ == "__main__":
    main()
