"""Trains the small plain DETR that fine-tuning starts from: one category, any fruit, on scenes of the `broad` domain.

    python detr.py --out detr --cache cache --steps 1200 --threads 1 --without "red apples" wide evening

Plain DETR learns slowly because nothing in it says where anything is: attention has to find out from scratch, and the
values it mixes carry no position. Three things are here to shorten that, and leave an ordinary `DetrForObjectDetection`:
learned position embeddings that start as sines of short wavelengths; queries and cross-attention that start by looking
at the places where fruit is often found (k-means of the training boxes' centres); and a dense loss, through the same
two heads, on the encoder's tokens, so that each token knows its fruit's box before the decoder asks for it.

1200 steps of 16 scenes, 1313 seconds on one thread of a busy machine, gave AP 0.43 and AP50 0.83 on 100 scenes held out. Without
`--without`, 2400 steps gave AP 0.58 and AP50 0.93, and the model found the apples of the domain `orchard` untrained.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from scenes import SIZE, load
from scipy.cluster.vq import kmeans2
from scores import average_precision
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ConvNextConfig, DetrConfig, DetrForObjectDetection

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
STRIDE = 8
TOKENS = SIZE // STRIDE
HELD_OUT = 100
NO_OBJECT = 0.25


@dataclass(frozen=True)
class Batch:
    """Normalised images (N, 3, 96, 96) and, for each, boxes (M, 4) as centre and size in fractions of the image."""

    images: Tensor
    boxes: list[Tensor]

    def labels(self) -> list[dict[str, Tensor]]:
        """The targets as transformers' losses take them."""
        return [{"class_labels": torch.zeros(len(boxes), dtype=torch.long), "boxes": boxes} for boxes in self.boxes]


def build(queries: int, centres: Tensor) -> DetrForObjectDetection:
    """The untrained model (1.4 M parameters); `centres` (M, 2) are where the training boxes lie, in fractions."""
    backbone = ConvNextConfig(
        patch_size=4, num_stages=2, hidden_sizes=[48, 128], depths=[2, 3], layer_scale_init_value=0.0, out_features=["stage2"]
    )
    config = DetrConfig(
        use_timm_backbone=False,
        backbone_config=backbone,
        position_embedding_type="learned",
        num_queries=queries,
        d_model=128,
        encoder_layers=2,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=256,
        decoder_ffn_dim=256,
        dropout=0.0,
        auxiliary_loss=True,
        eos_coefficient=NO_OBJECT,
        id2label={0: "fruit"},
        label2id={"fruit": 0},
    )
    model = DetrForObjectDetection(config)
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and "embedding" not in name:
            nn.init.xavier_uniform_(weight)
    place(model, centres)
    return model.to(memory_format=torch.channels_last)


@torch.no_grad()
def place(model: DetrForObjectDetection, centres: Tensor, sharpness: float = 1.3) -> None:
    """Sets positions, queries and cross-attention so that each query begins by looking at its own place."""
    half = model.config.d_model // 2
    table = sines(torch.arange(50.0), half)
    model.model.position_embedding.row_embeddings.weight.copy_(table)
    model.model.position_embedding.column_embeddings.weight.copy_(table)
    places, _ = kmeans2(centres.numpy().astype("float64"), model.config.num_queries, seed=0, minit="++")
    across, down = (torch.from_numpy(places).float() * TOKENS - 0.5).unbind(-1)
    model.model.query_position_embeddings.weight.copy_(torch.cat([sines(across, half), sines(down, half)], -1))
    # Every head gets pairs of sine and cosine from both axes and from all wavelengths.
    heads = model.config.decoder_attention_heads
    pairs = torch.arange(2 * half).view(half, 2)
    order = torch.cat([pairs[head::heads].flatten() for head in range(heads)])
    same = torch.eye(2 * half)
    for layer in model.model.decoder.layers:
        layer.encoder_attn.q_proj.weight.copy_(sharpness * same[order])
        layer.encoder_attn.k_proj.weight.copy_(sharpness * same[order])
        layer.encoder_attn.v_proj.weight.copy_(same)
        layer.encoder_attn.o_proj.weight.copy_(same)


def sines(places: Tensor, width: int) -> Tensor:
    """Sines and cosines (N, width) of places (N,) in tokens, wavelengths 4 to 48 tokens."""
    waves = 4 * 12 ** torch.linspace(0, 1, width // 2)
    angles = places[:, None] * 2 * math.pi / waves
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


def augment(images: Tensor, boxes: list[Tensor], chance: torch.Generator) -> Batch:
    """Flips, zooms, moves and tints images uint8 (N, 3, S, S) with boxes xyxy in pixels."""
    count = len(images)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=chance)

    zoom = uniform(0.7, 1.15)
    scale = torch.stack([zoom * (1 - 2 * (uniform(0, 1) < 0.5).float()), zoom], -1)
    shift = uniform(-1, 1, 2) * ((1 - zoom).abs() + 0.1)[:, None]
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0], scale[:, 1], shift
    light = uniform(0.8, 1.2, 1, 1, 1) * uniform(0.93, 1.07, 3, 1, 1)
    pixels = (images / 255 * light).clamp(max=1).sub(MEAN).div(STD)
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    moved = []
    for xyxy, wide, by in zip(boxes, scale, shift, strict=True):
        corners = ((xyxy.view(-1, 2, 2) / SIZE * 2 - 1 - by) / wide + 1) / 2
        corners = torch.stack([corners.amin(1), corners.amax(1)], 1)
        cut = corners.clamp(0, 1)
        seen = (cut[:, 1] - cut[:, 0]).prod(-1) > 0.35 * (corners[:, 1] - corners[:, 0]).prod(-1)
        moved.append(torch.cat([cut.mean(1), cut[:, 1] - cut[:, 0]], -1)[seen])
    return Batch(F.grid_sample(pixels, grid, align_corners=False), moved)


def dense_loss(model: DetrForObjectDetection, tokens: Tensor, batch: Batch) -> Tensor:
    """The heads' loss on the encoder's tokens (N, T, D): who holds a centre is an object, who lies in a box knows it."""
    logits, drawn = model.class_labels_classifier(tokens), model.bbox_predictor(tokens).sigmoid()
    ticks = (torch.arange(TOKENS) + 0.5) / TOKENS
    middles = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1).view(-1, 2)
    classes = torch.ones(logits.shape[:2], dtype=torch.long)
    error, inside = tokens.new_zeros(()), 0
    for number, boxes in enumerate(batch.boxes):
        if len(boxes) == 0:
            continue
        gap = middles[:, None] - boxes[None, :, :2]
        classes[number, gap.abs().amax(-1).argmin(0)] = 0
        off = (gap.abs() / boxes[None, :, 2:]).amax(-1)
        nearest, which = off.min(1)
        near = nearest < 0.5
        near |= classes[number] == 0
        wanted, got = boxes[which[near]], drawn[number, near]
        error = error + 5 * (got - wanted).abs().sum() + 2 * (1 - overlap(got, wanted)).sum()
        inside += int(near.sum())
    return F.cross_entropy(logits.transpose(1, 2), classes, torch.tensor([1.0, NO_OBJECT])) + error / max(inside, 1)


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Generalised IoU (N,) of boxes (N, 4) given as centre and size (Rezatofighi et al. 2019)."""
    low, high = (torch.stack([box[:, :2] + sign * box[:, 2:] / 2 for box in (one, other)]) for sign in (-1, 1))
    common = (high.amin(0) - low.amax(0)).clamp(min=0).prod(-1)
    union = one[:, 2:].prod(-1) + other[:, 2:].prod(-1) - common
    hull = (high.amax(0) - low.amin(0)).prod(-1)
    return common / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)


@torch.no_grad()
def score(model: DetrForObjectDetection, images: Tensor, boxes: list[Tensor]) -> dict[str, float]:
    """AP and AP50 of COCO on images uint8 (N, 3, S, S) with boxes xyxy in pixels."""
    model.eval()
    out = model((images / 255).sub(MEAN).div(STD).contiguous(memory_format=torch.channels_last))
    model.train()
    return average_precision(boxes, out.logits.softmax(-1)[..., 0], out.pred_boxes * SIZE)


def main() -> None:
    """Trains, logs JSON lines, saves every 500 steps and goes on from there when it is started again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--without", nargs="*", default=[], help="leave out scenes whose caption has one of these")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--learning-rate", type=float, default=8e-4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    scenes = load(given.images, given.cache)
    kept = [number for number, caption in enumerate(scenes.captions) if not any(words in caption for words in given.without)]
    images, boxes = torch.from_numpy(scenes.images[kept]).permute(0, 3, 1, 2), [torch.from_numpy(scenes.boxes[number]) for number in kept]
    known = len(images) - HELD_OUT
    every = torch.cat(boxes[:known])
    model = build(given.queries, (every[:, :2] + every[:, 2:]) / 2 / SIZE).train()
    decayed = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim < 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 1e-3}, {"params": others, "weight_decay": 0.0}], lr=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, given.learning_rate, given.steps, pct_start=0.1)
    given.out.mkdir(parents=True, exist_ok=True)
    # Whole state to go on from: kept beside the pictures, so that `--out` holds the checkpoint and its log alone.
    state_file = given.cache / f"detr-{given.steps}.pt"
    first, spent = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        for part, name in ((model, "model"), (optimizer, "optimizer"), (schedule, "schedule")):
            part.load_state_dict(state[name])
        first, spent = state["step"], state["seconds"]
    started = time.monotonic() - spent
    with (given.out / "training.jsonl").open("a") as log:
        for step in range(first, given.steps):
            chance = torch.Generator().manual_seed(given.seed * 1_000_003 + step)  # so that going on repeats nothing
            chosen = torch.randint(0, known, (given.batch,), generator=chance)
            batch = augment(images[chosen], [boxes[number] for number in chosen], chance)
            out = model(batch.images.contiguous(memory_format=torch.channels_last), labels=batch.labels())
            dense = dense_loss(model, out.encoder_last_hidden_state, batch)
            loss = out.loss + 3 * (1 - step / given.steps) * dense  # three decoder layers speak in the other
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            schedule.step()
            done, seconds = step + 1, round(time.monotonic() - started, 1)
            if done % 50 == 0:
                parts = {name: round(out.loss_dict[name].item(), 4) for name in ("loss_ce", "loss_bbox", "loss_giou")}
                figures = {"step": done, "loss": round(out.loss.item(), 4), "dense": round(dense.item(), 4), **parts, "seconds": seconds}
                if done % 250 == 0 or done == given.steps:
                    figures |= score(model, images[known:], boxes[known:])
                print(json.dumps(figures), file=log, flush=True)
            if done % 500 == 0 or done == given.steps:
                held = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
                torch.save({**held, "step": done, "seconds": seconds}, state_file)
                save(model, given.out)


def save(model: DetrForObjectDetection, out: Path) -> None:
    """Writes config.json and model.safetensors in half precision."""
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.half().save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)  # written for its owner alone, and shipped to everybody
    model.float().load_state_dict(kept)


if __name__ == "__main__":
    main()
