"""Trains the small RT-DETR that fine-tuning starts from, on photographs of an orchard: one category, any apple.

    python photo_detr.py --photographs FOLDER --state STATE --cache cache --out detr --steps 4000

Model, losses and augmentation are those of the plugin `synthbench-detr`. The learning rate is constant after a warm-up,
and the average of the weights is what is saved, so the same command with more `--steps` goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import photographs
import state
import torch
from scores import average_precision
from synthbench_detr import Detr
from synthbench_detr.data import Squares, pixel_values
from synthbench_detr.models import build, quiet
from synthbench_detr.training import loss_of, optimization
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from scenes import Scenes
    from transformers import RTDetrForObjectDetection


def squares(scenes: Scenes, size: int) -> Squares:
    """The photographs as the plugin keeps them, boxes as fractions."""
    images = torch.from_numpy(scenes.images).permute(0, 3, 1, 2)
    side = images.shape[-1]
    scaled = [F.interpolate(part.float(), (size, size), mode="bilinear", antialias=True, align_corners=False) for part in images.split(64)]
    boxes = [torch.from_numpy(each) / side for each in scenes.boxes]
    labels = [torch.zeros(len(each), dtype=torch.long) for each in boxes]
    return Squares(torch.cat(scaled).round().clamp(0, 255).to(torch.uint8), boxes, labels)


@torch.no_grad()
def score(model: RTDetrForObjectDetection, data: Squares) -> dict[str, float]:
    """COCO's AP and AP50, on images scaled to 256 pixels."""
    model.eval()
    parts = [model(pixel_values=pixel_values(part, normalised=False)) for part in data.images.split(16)]
    model.train()
    scores = torch.cat([part.logits.sigmoid()[..., 0] for part in parts])
    return average_precision([boxes * 256 for boxes in data.boxes], scores, torch.cat([part.pred_boxes * 256 for part in parts]))


def export(model: RTDetrForObjectDetection, average: state.Average, data: Squares, out: Path) -> dict[str, float]:
    """Writes the averaged model in half precision and returns its AP."""
    average.swap()
    figures = score(model, data)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.half().save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    model.float().load_state_dict(kept)
    average.swap()
    return figures


def main() -> None:
    """Trains until `--steps`, logs JSON lines, and saves its state and the model regularly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--photographs", "--state", "--cache", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop this long after the start of this process")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    quiet()
    training, testing = (squares(part, given.size) for part in photographs.load(given.photographs, given.cache))
    options = Detr(
        variant="rt-detr",
        width=given.width,
        queries=given.queries,
        image_size=given.size,
        batch_size=given.batch,
        learning_rate=given.learning_rate,
    )
    torch.manual_seed(given.seed)
    model = build(options, {"id2label": {0: "apple"}, "label2id": {"apple": 0}}).to(memory_format=torch.channels_last).train()
    optimizer, _ = optimization(options, model, given.steps)
    average = state.Average(model.parameters(), 0.998)
    facts = state.load(given.state, model, optimizer, average)
    given.out.mkdir(parents=True, exist_ok=True)
    session, total, counted = state.Session(facts, given.steps, given.minutes), 0.0, 0
    with (given.out / "training.jsonl").open("a") as log:
        for step in range(session.first, given.steps):
            state.seed_step(given.seed, step)
            for group in optimizer.param_groups:
                group["lr"] = given.learning_rate * min(1.0, (step + 1) / 200)
            chosen = torch.randint(0, len(training), (given.batch,)).tolist()
            rng = torch.Generator().manual_seed(given.seed * 1_000_003 + step)
            loss = loss_of(options, model, training, chosen, rng)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
            optimizer.step()
            average.update()
            total, counted = total + loss.item(), counted + 1
            done, due = step + 1, session.is_due(step + 1)
            if done % 50 and not due:
                continue
            figures = {"step": done, "loss": round(total / counted, 4), "seconds": session.seconds}
            total, counted = 0.0, 0
            if due:
                state.save(given.state, model, optimizer, average, {"step": done, "seconds": session.seconds})
                figures |= export(model, average, testing, given.out)
            print(json.dumps(figures), file=log, flush=True)
            if session.is_last(done):
                break


if __name__ == "__main__":
    main()
