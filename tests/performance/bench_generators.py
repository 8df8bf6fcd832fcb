"""Times fitting and sampling beside diffusers' own training loop and pipeline: same weights, sizes, settings and threads, in one run.

    uv run python tests/performance/bench_generators.py [--checkpoint small-sd15] [--side 96] [--steps 8] [--images 4] [--rounds 3]
        [--only sampling] [--mixed-precision no]

Prints steps and images a second, the ratio to diffusers (above 1: faster), and on CUDA the peak memory of each. Rounds
alternate, and the ratio is the median of the rounds' ratios; on a CPU, the process's own time is counted, so that other work on
the machine falls out. It takes about two minutes of a core.
Each works in its default precision: on a CPU, diffusers' scripts and pipelines in fp32, the plugin in bf16 where the CPU has it
(AMX, AVX512-BF16); `--mixed-precision no` holds it to fp32. diffusers' training is the loop of `examples/dreambooth/train_dreambooth.py`:
encoding by the VAE at each step, AdamW, a mean squared error, clipping.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, StableDiffusionPipeline
from synthbench import ImageSet, Picture, SampleRequest
from synthbench.contract.images import write_image
from synthbench.execution.stage_run import StageRun
from synthbench.registry import installed
from synthbench_diffusers import SD15DreamBooth
from synthbench_diffusers.references import to_batch

BATCH = 4
REFERENCES = 20


def references(side: int, folder: Path) -> ImageSet:
    """Pictures of noise, half as wide again as they are high, as photographs are."""
    rng = np.random.default_rng(0)
    pictures = []
    for number in range(REFERENCES):
        path = folder / f"{number}.png"
        write_image(path, rng.integers(0, 255, (side, side * 3 // 2, 3), np.uint8))
        pictures.append(Picture(path, side * 3 // 2, side))
    return ImageSet(("apple",), tuple(pictures))


def train_like_diffusers(checkpoint: str, images: ImageSet, side: int, steps: int, device: str, prompt: str) -> None:
    """The loop of diffusers' example, without accelerate and logging."""
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    pipe = StableDiffusionPipeline.from_pretrained(checkpoint, safety_checker=None, dtype=torch.float32)
    unet, vae = pipe.unet.to(device), pipe.vae.to(device, dtype)
    vae.requires_grad_(False)
    unet.train()
    with torch.no_grad():
        tokens = pipe.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
        text = pipe.text_encoder(tokens)[0].to(device)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=5e-6, weight_decay=1e-2)
    noiser = DDPMScheduler.from_config(pipe.scheduler.config)
    pixels = [picture.pixels() for picture in images]
    rng = np.random.default_rng(1)
    for _ in range(steps):
        chosen = [
            pixels[each][:, left : left + side]
            for each, left in zip(rng.integers(REFERENCES, size=BATCH), rng.integers(side // 2, size=BATCH), strict=True)
        ]
        with torch.no_grad():
            latents = (
                vae.encode(torch.cat([to_batch(each) for each in chosen]).to(device, dtype)).latent_dist.sample()
                * vae.config.scaling_factor
            )
        latents = latents.float()
        noise = torch.randn_like(latents)
        times = torch.randint(0, 1000, (BATCH,), device=device)
        with torch.autocast(torch.device(device).type, dtype, enabled=dtype != torch.float32):
            predicted = unet(noiser.add_noise(latents, noise, times), times, text.expand(BATCH, -1, -1)).sample
        loss = torch.nn.functional.mse_loss(predicted.float(), noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        float(loss.detach())


def seconds(run: Callable[[], Any], device: str) -> float:
    """How long it takes: by the clock on a GPU, of this process's own time on a CPU, where one thread works."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def alternating(runs: dict[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, list[float]]:
    """The seconds of several alternating rounds. Prints the peak of GPU memory."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            times[name].append(seconds(run, device))
            if device == "cuda":
                print(f"  {name}: peak {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
    return times


def compared(what: str, unit: str, count: int, ours: list[float], theirs: list[float]) -> str:
    """Both rates, and the median of the rounds' ratios with their range."""
    ratios = sorted(their / our for our, their in zip(ours, theirs, strict=True))
    rates = [count / statistics.median(each) for each in (ours, theirs)]
    middle = statistics.median(ratios)
    return f"{what}: {rates[0]:.2f} and {rates[1]:.2f} {unit}/s, ratio {middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def main() -> None:
    """Prints a line for training and one for sampling."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="small-sd15")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--images", type=int, default=BATCH)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["training", "sampling"], help="default: both")
    parser.add_argument("--mixed-precision", default="auto", choices=["auto", "no", "bf16"], help="of synthbench's side")
    given = parser.parse_args()
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    checkpoint = str(installed().checkpoints.get(given.checkpoint, given.checkpoint))
    recipe = SD15DreamBooth(
        pretrained_model_name_or_path=checkpoint,
        resolution=given.side,
        batch_size=BATCH,
        max_train_steps=given.steps,
        mixed_precision=given.mixed_precision,
        boxes=False,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = references(given.side, folder)
        fitted = folder / "fitted"
        fitted.mkdir()

        def fit(steps: int) -> None:
            dataclasses.replace(recipe, max_train_steps=steps).fit(images, StageRun(fitted, seed=0, device=device))

        def diffusers(steps: int) -> None:
            train_like_diffusers(checkpoint, images, given.side, steps, device, recipe.instance_prompt)

        runs: dict[str, Callable[[], Any]] = {
            "synthbench": lambda: fit(given.steps),
            "synthbench, one step": lambda: fit(1),
            "diffusers": lambda: diffusers(given.steps),
            "diffusers, one step": lambda: diffusers(1),
        }
        if given.only == "sampling":
            fit(1)
            sample_both(recipe, fitted, given, device)
            return
        times = alternating(runs, given.rounds, device)
        # The difference between many steps and one leaves loading and saving out.
        ours, theirs = (
            [many - one for many, one in zip(times[name], times[f"{name}, one step"], strict=True)] for name in ("synthbench", "diffusers")
        )
        print(compared(f"training, batch {BATCH}, {given.side} px", "steps", given.steps - 1, ours, theirs), flush=True)
        if given.only != "training":
            sample_both(recipe, fitted, given, device)


def sample_both(recipe: SD15DreamBooth, fitted: Path, given: argparse.Namespace, device: str) -> None:
    """Times sampling: the pipeline with the same scheduler and batch, and one image at a time, as seeds of single images need it."""
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    pipe = StableDiffusionPipeline.from_pretrained(recipe.pretrained_model_name_or_path, safety_checker=None, dtype=dtype).to(device)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    run = StageRun(fitted, seed=0, device=device)

    def ours() -> None:
        for _ in recipe.sample(fitted, SampleRequest(0, given.images, ("apple",)), run):
            pass

    def pipeline(batch: int) -> None:
        for _ in range(0, given.images, batch):
            pipe([recipe.instance_prompt] * batch, height=given.side, width=given.side, num_inference_steps=recipe.num_inference_steps)

    pipeline(BATCH)  # the first call of each is slower
    ours()
    ways = {"in batches": lambda: pipeline(BATCH), "one by one": lambda: pipeline(1)}
    times = alternating({"synthbench": ours, **ways}, given.rounds, device)
    for name in ways:
        what = f"sampling, {recipe.num_inference_steps} steps, diffusers {name}"
        print(compared(what, "images", given.images, times["synthbench"], times[name]), flush=True)


if __name__ == "__main__":
    main()
