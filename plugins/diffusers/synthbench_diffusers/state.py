"""Saved states of an unfinished fit, in its working folder: weights and optimizer as safetensors, the rest as JSON."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from synthbench.contract.options import keyed_options

if TYPE_CHECKING:
    from synthbench import Run

    from synthbench_diffusers.recipe import Recipe


SEPARATOR = "/"
PART = "state.part"  # a state that is being saved
INTERVAL = 600.0  # seconds between two states, by default
ROOM = 1.5  # times a state's size that must be free, so that the results fit too


@dataclass
class Progress:
    """What changes while fitting: trained weights by name, optimizer, loss scaler, and the loss of every step so far."""

    trained: dict[str, Any]
    optimizer: Any
    scaler: Any
    losses: list[float] = field(default_factory=list)


class Clock:
    """When to save a state: after every `every` steps, or if that is None after `INTERVAL` seconds."""

    def __init__(self, every: int | None) -> None:
        self.every = every
        self.restart()

    def restart(self) -> None:
        """Starts the interval anew."""
        self.started = time.monotonic()

    def is_due(self, steps: int) -> bool:
        """Whether a state should be saved after this many steps."""
        if self.every is None:
            return time.monotonic() - self.started > INTERVAL
        return self.every > 0 and steps % self.every == 0


def save(run: Run, recipe: Recipe, progress: Progress) -> None:
    """Saves the state, and removes older ones when this one is complete. Saves none if the disk has too little room."""
    tensors: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    for name, value in flattened(progress.optimizer.state_dict()["state"]):
        if torch.is_tensor(value):
            tensors[name] = value.detach().to("cpu", copy=True)  # bitsandbytes shares some between weights, which safetensors refuses
        else:
            numbers[name] = value
    size = sum(each.numel() * each.element_size() for each in (*tensors.values(), *progress.trained.values()))
    free = shutil.disk_usage(run.workdir).free
    if free < ROOM * size:
        run.log(f"no state is saved: it needs {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")
        return
    part = run.workdir / PART
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    save_file({name: weight.detach().contiguous() for name, weight in progress.trained.items()}, part / "weights.safetensors")
    save_file(tensors, part / "optimizer.safetensors")
    rest = {"fit": _identity(run, recipe), "losses": progress.losses, "optimizer": numbers, "scaler": progress.scaler.state_dict()}
    (part / "state.json").write_text(json.dumps(rest))
    older = _states(run.workdir)
    part.rename(run.workdir / f"state-{len(progress.losses):08d}")
    for folder in older:
        shutil.rmtree(folder)


def load(run: Run, recipe: Recipe, progress: Progress) -> None:
    """Restores the last state that was saved with the same options and seed, if there is one."""
    for folder in reversed(_states(run.workdir)):
        rest = json.loads((folder / "state.json").read_text())
        if rest["fit"] != json.loads(json.dumps(_identity(run, recipe))):
            run.log(f"{folder.name}: saved with other options or another seed, so it is ignored")
            continue
        weights = load_file(folder / "weights.safetensors")
        with torch.no_grad():
            for name, weight in progress.trained.items():
                weight.copy_(weights[name])
        stored = {**load_file(folder / "optimizer.safetensors"), **rest["optimizer"]}
        values = {int(index): state for index, state in nested(stored).items()}
        progress.optimizer.load_state_dict({**progress.optimizer.state_dict(), "state": values})
        if rest["scaler"]:  # empty if it was saved in another precision than fp16
            progress.scaler.load_state_dict(rest["scaler"])
        progress.losses = list(rest["losses"])
        run.log(f"resumes after step {len(progress.losses)}")
        return


def flattened(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested dictionaries by their paths: bitsandbytes keeps its state in a dictionary within that of a parameter."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}{SEPARATOR}")
        else:
            yield f"{prefix}{key}", value


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The nested dictionaries that `flattened` took apart."""
    found: dict[str, Any] = {}
    for path, value in leaves.items():
        *folders, last = path.split(SEPARATOR)
        place = found
        for each in folders:
            place = place.setdefault(each, {})
        place[last] = value
    return found


def remove(workdir: Path) -> None:
    """Removes the states of a finished fit, and one that a fit was killed while saving."""
    for folder in _states(workdir):
        shutil.rmtree(folder)
    shutil.rmtree(workdir / PART, ignore_errors=True)


def _states(workdir: Path) -> list[Path]:
    return sorted(workdir.glob("state-*"))


def _identity(run: Run, recipe: Recipe) -> dict[str, object]:
    """What two fits must have in common for one to resume from the other's state."""
    return {"name": recipe.name, "version": recipe.version, "seed": run.seed, **keyed_options(recipe, ())}
