"""States of an unfinished fit, in its working folder: weights and optimiser as safetensors, the rest as JSON."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from synthbench.contract.options import option_values

if TYPE_CHECKING:
    from synthbench import Run

    from synthbench_diffusers.recipe import Recipe


@dataclass
class Progress:
    """What changes while fitting: trained weights by name, optimiser, loss scaler, and the loss of every step so far."""

    trained: dict[str, Any]
    optimizer: Any
    scaler: Any
    losses: list[float] = field(default_factory=list)


def save(run: Run, recipe: Recipe, progress: Progress) -> None:
    """Keeps the state, and drops older ones once this one is whole."""
    part = run.workdir / "state.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    tensors: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    for index, held in progress.optimizer.state_dict()["state"].items():
        for key, value in held.items():
            (tensors if torch.is_tensor(value) else numbers)[f"{index}.{key}"] = value
    save_file({name: weight.detach().contiguous() for name, weight in progress.trained.items()}, part / "weights.safetensors")
    save_file(tensors, part / "optimizer.safetensors")
    about = {"made": _made(run, recipe), "losses": progress.losses, "optimizer": numbers, "scaler": progress.scaler.state_dict()}
    (part / "state.json").write_text(json.dumps(about))
    older = _states(run.workdir)
    part.rename(run.workdir / f"state-{len(progress.losses):08d}")
    for folder in older:
        shutil.rmtree(folder)


def load(run: Run, recipe: Recipe, progress: Progress) -> None:
    """Puts the last state back, if one is there of the same options and seed."""
    for folder in reversed(_states(run.workdir)):
        about = json.loads((folder / "state.json").read_text())
        if about["made"] != json.loads(json.dumps(_made(run, recipe))):
            run.log(f"{folder.name}: of other options or another seed, left aside")
            continue
        weights = load_file(folder / "weights.safetensors")
        with torch.no_grad():
            for name, weight in progress.trained.items():
                weight.copy_(weights[name])
        held: dict[int, dict[str, Any]] = {}
        for name, value in [*load_file(folder / "optimizer.safetensors").items(), *about["optimizer"].items()]:
            index, key = name.split(".", 1)
            held.setdefault(int(index), {})[key] = value
        progress.optimizer.load_state_dict({**progress.optimizer.state_dict(), "state": held})
        progress.scaler.load_state_dict(about["scaler"])
        progress.losses = list(about["losses"])
        run.log(f"goes on after step {len(progress.losses)}")
        return


def remove(workdir: Path) -> None:
    """Drops the states of a fit that is done."""
    for folder in _states(workdir):
        shutil.rmtree(folder)


def _states(workdir: Path) -> list[Path]:
    return sorted(workdir.glob("state-*"))


def _made(run: Run, recipe: Recipe) -> dict[str, object]:
    return {"name": recipe.name, "version": recipe.version, "seed": run.seed, **option_values(recipe, late=False)}
