"""Trains a base model with the layout of SD-1.5 or SDXL on photographs of an orchard and some rendered scenes.

    python photo_diffusion.py --layout sd --photographs FOLDER --vae vae --state STATE --cache cache --out sd \\
        --start ../synthbench_checkpoints/weights/small-sd15 --minutes 60
    python photo_diffusion.py --layout sdxl ... --start sd --minutes 20

A photograph is seen whole, scaled to 128 pixels, or a little closer. Rendered scenes have captions that begin with
`a drawing of`, so that their colours and fruit are known and their look belongs to that word. `--start` takes over
every weight of another pipeline's UNet that has the same name and shape and, for the SD layout, its text encoder with
the words that both know. The learning rate is constant after a warm-up and the average of the weights is what is
saved, so the same command goes on from `--state`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import photographs
import state
import torch
from diffusers import AutoencoderKL, DDPMScheduler
from diffusers.training_utils import compute_snr
from diffusion import Base, build, save, tokenizer_for
from safetensors.torch import load_file, save_file
from scenes import Scenes
from scenes import load as load_scenes
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

SIZE = 128
PHOTO_PROMPTS = [
    "a photo of many red apples on a tree, white sky",
    "a photo of some green apples on a tree, leaves",
    "a photo of many pink apples on a tree, some sky",
    "a photo of few red apples on a tree, leaves",
]
CLOSEST = 1.35
SNR_GAMMA = 5.0


def drawings(scenes: Scenes) -> Scenes:
    """Rendered scenes, whose captions say that they are no photographs."""
    return Scenes(scenes.images, [caption.replace("a photo of", "a drawing of") for caption in scenes.captions], scenes.boxes)


class Latents:
    """Scaled latents of images uint8 (N, 3, S, S), encoded when they are first needed.

    Variant 0 is the whole image, 1 its mirror image; the others are crops at random places, mirrored half of the time.
    They are kept in `file`, whose name should say which encoder made them.
    """

    def __init__(self, vae: AutoencoderKL, images: Tensor, variants: int, file: Path) -> None:
        self.vae, self.images, self.file = vae, images, file
        self.values = torch.zeros(variants, len(images), 4, SIZE // 4, SIZE // 4)
        self.known = torch.zeros(variants, len(images), dtype=torch.bool)
        if file.exists():
            for name, value in load_file(file).items():
                getattr(self, name)[: len(value)] = value[:variants]

    def save(self) -> None:
        """Writes what was encoded so far."""
        save_file({"values": self.values, "known": self.known}, self.file)

    @torch.no_grad()
    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Latents (count, 4, 32, 32) of images at random, and the images' numbers."""
        variant = torch.randint(len(self.values), (count,))
        image = torch.randint(len(self.images), (count,))
        missing = (~self.known[variant, image]).nonzero().flatten().tolist()
        if missing:
            pixels = torch.cat([self.pixels(int(variant[turn]), int(image[turn])) for turn in missing])
            encoded = self.vae.encode(pixels).latent_dist.mean * self.vae.config.scaling_factor
            self.values[variant[missing], image[missing]] = encoded
            self.known[variant[missing], image[missing]] = True
        return self.values[variant, image], image

    def pixels(self, variant: int, number: int) -> Tensor:
        """One variant of an image: float (1, 3, 128, 128) in -1..1."""
        image = self.images[number]
        rng = torch.Generator().manual_seed(variant * 1_000_003 + number)
        side, mirrored = image.shape[-1], variant == 1
        if variant > 1:
            side = round(side / float(1 + (CLOSEST - 1) * torch.rand((), generator=rng)))
            mirrored = bool(torch.rand((), generator=rng) < 0.5)
        top, left = (int(torch.randint(0, image.shape[-1] - side + 1, (), generator=rng)) for _ in range(2))
        crop = image[None, :, top : top + side, left : left + side].float()
        crop = F.interpolate(crop, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False) if side != SIZE else crop
        pixels = crop.clamp(0, 255) / 127.5 - 1
        return pixels.flip(-1) if mirrored else pixels


def name_of(vae: AutoencoderKL) -> str:
    """A name for the encoder's weights and the scale."""
    weights = b"".join(value.numpy().tobytes() for value in vae.encoder.state_dict().values())
    return hashlib.sha256(weights + str(vae.config.scaling_factor).encode()).hexdigest()[:12]


@torch.no_grad()
def take_text_encoder(encoder: nn.Module, tokenizer: CLIPTokenizer, start: Path) -> int:
    """Copies another pipeline's text encoder, and its embeddings of the tokens that both know. Returns how many."""
    other = CLIPTextModel.from_pretrained(start / "text_encoder").float()
    words = CLIPTokenizer.from_pretrained(start / "tokenizer").get_vocab()
    own, taken = encoder.state_dict(), other.state_dict()
    for name, value in taken.items():
        if own[name].shape == value.shape and "token_embedding" not in name:
            own[name].copy_(value)
    (embedding,) = (name for name in own if "token_embedding" in name)
    pairs = [(number, words[word]) for word, number in tokenizer.get_vocab().items() if word in words]
    for number, old in pairs:
        own[embedding][number] = taken[embedding][old]
    return len(pairs)


def batch_of(sources: tuple[Latents, Latents], captions: tuple[Tensor, Tensor], count: int, share: float) -> tuple[Tensor, Tensor]:
    """Latents (B, 4, 32, 32) and the numbers of their captions (B,), one in ten without a caption.

    sources: photographs and rendered scenes, of which there is a `share`.
    """
    rendered = int((torch.rand(count) < share).sum())
    parts = [source.draw(number) for source, number in zip(sources, (count - rendered, rendered), strict=True)]
    clean = torch.cat([latents for latents, _ in parts])
    caption = torch.cat([numbers[image] for numbers, (_, image) in zip(captions, parts, strict=True)])
    order = torch.randperm(count)
    caption = caption[order]
    caption[torch.rand(count) < 0.1] = 0
    return clean[order], caption


def shorter(caption: str) -> str:
    """A caption without what follows the comma."""
    return caption.split(",", maxsplit=1)[0]


def export(base: Base, vae: AutoencoderKL, average: state.Average, out: Path, prompts: list[str]) -> None:
    """Writes the averaged model."""
    average.swap()
    save(base, vae, out, "cpu", prompts)
    average.swap()


def main() -> None:
    """Trains for `--minutes` or until `--steps`, logs JSON lines, and saves its state and the pipeline regularly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layout", choices=("sd", "sdxl"), required=True)
    for name in ("--photographs", "--vae", "--state", "--cache", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop this long after the start of this process")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--variants", type=int, default=6, help="whole, mirrored, and this number less two of random crops")
    parser.add_argument("--scenes", type=int, default=600)
    parser.add_argument("--share", type=float, default=0.2, help="of rendered scenes")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--decay", type=float, default=0.998, help="of the average of the weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    vae = AutoencoderKL.from_pretrained(given.vae).float().requires_grad_(False)
    training, _ = photographs.load(given.photographs, given.cache)
    rendered = drawings(load_scenes(given.scenes, given.cache, SIZE))
    pixels = [torch.from_numpy(part.images).permute(0, 3, 1, 2) for part in (training, rendered)]
    name = name_of(vae)
    sources = (
        Latents(vae, pixels[0], given.variants, given.cache / f"latents-photographs-{name}.safetensors"),
        Latents(vae, pixels[1], 2, given.cache / f"latents-scenes-{len(pixels[1])}-{name}.safetensors"),
    )
    captions = [*training.captions, *rendered.captions]
    tokenizer = tokenizer_for(captions, given.out / "tokenizer")
    torch.manual_seed(given.seed)
    base = build(given.layout, tokenizer, given.start, SIZE, only_cross_attention=[True, False, False])
    if given.start is not None and not base.is_xl:
        print(json.dumps({"words taken over": take_text_encoder(base.encoders[0], tokenizer, given.start)}), flush=True)
    base.unet.to(memory_format=torch.channels_last)
    # One number for each different caption; 0 is no caption.
    words = list(dict.fromkeys(["", *captions, *map(shorter, captions)]))
    ids = tokenizer(words, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    numbers = {caption: number for number, caption in enumerate(words)}
    labels = tuple(torch.tensor([[numbers[c], numbers[shorter(c)]] for c in part.captions]) for part in (training, rendered))
    both = nn.ModuleList([base.unet, base.encoders])
    learning = list(both.parameters())
    optimizer = torch.optim.AdamW(learning, lr=given.learning_rate, weight_decay=0.01)
    average = state.Average(learning, given.decay)
    noiser = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
    facts = state.load(given.state, both, optimizer, average)
    session, losses, weighted, counted = state.Session(facts, given.steps, given.minutes), 0.0, 0.0, 0
    exported = time.monotonic()
    with (given.out / "training.jsonl").open("a") as log:
        for step in range(session.first, given.steps):
            state.seed_step(given.seed, step)
            optimizer.param_groups[0]["lr"] = given.learning_rate * min(1.0, (step + 1) / 100)
            short = int(torch.rand(()) < 0.25)
            clean, caption = batch_of(sources, (labels[0][:, short], labels[1][:, short]), given.batch, given.share)
            # One timestep from each equal part of the range.
            times = ((torch.arange(given.batch) + torch.rand(given.batch)) / given.batch * 1000).long()
            noise = torch.randn_like(clean)
            noisy = noiser.add_noise(clean, noise, times).contiguous(memory_format=torch.channels_last)
            # Fine-tuning names the photographs' size, sampling the samples'.
            originals = SIZE * torch.randint(1, 3, (given.batch,))
            predicted = base.unet(noisy, times, **base.condition(ids[caption], originals)).sample
            each = F.mse_loss(predicted, noise, reduction="none").mean((1, 2, 3))
            ratio = compute_snr(noiser, times)
            loss = (each * ratio.clamp(max=SNR_GAMMA) / ratio).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            average.update()
            losses, weighted, counted = losses + each.mean().item(), weighted + loss.item(), counted + 1
            done, due = step + 1, session.is_due(step + 1)
            last = session.is_last(done)
            if done % 50 == 0 or last:
                figures = {"step": done, "loss": round(losses / counted, 5), "weighted": round(weighted / counted, 5)}
                print(json.dumps({**figures, "seconds": session.seconds}), file=log, flush=True)
                losses, weighted, counted = 0.0, 0.0, 0
            if due:
                state.save(given.state, both, optimizer, average, {"step": done, "seconds": session.seconds})
                for source in sources:
                    source.save()
            if last or time.monotonic() - exported > 3 * state.EVERY:
                export(base, vae, average, given.out, [] if session.asked else PHOTO_PROMPTS)
                exported = time.monotonic()
            if last:
                break


if __name__ == "__main__":
    main()
