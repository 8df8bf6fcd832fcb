"""A training's whole state as safetensors and JSON, so that the same command goes on where it stopped."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

EVERY = 300  # seconds between saved states


class Session:
    """One process's part of a training: when to save, and when to stop.

    It stops after `steps` of the whole training, `minutes` of this process, or when it is asked to (SIGTERM, SIGINT).
    """

    def __init__(self, facts: Mapping[str, Any], steps: int, minutes: float) -> None:
        self.first, self.steps, self.minutes, self.spent = int(facts["step"]), steps, minutes, float(facts["seconds"])
        self.started = self.saved = time.monotonic()
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.ask)

    def ask(self, *_: object) -> None:
        """Asks it to stop after the current step."""
        self.asked = True

    @property
    def seconds(self) -> float:
        """Seconds of the whole training."""
        return round(self.spent + time.monotonic() - self.started, 1)

    def is_last(self, done: int) -> bool:
        """Whether `done` steps are the last ones of this process."""
        return self.asked or done >= self.steps or time.monotonic() - self.started > 60 * self.minutes

    def is_due(self, done: int) -> bool:
        """Whether to save now; if so, the time until the next save begins."""
        if not self.is_last(done) and time.monotonic() - self.saved < EVERY:
            return False
        self.saved = time.monotonic()
        return True


class Average:
    """An exponential moving average of a model's parameters; it is short while there are few steps."""

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters, self.decay, self.steps = list(parameters), decay, 0
        self.values = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the parameters after an optimizer step."""
        self.steps += 1
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.values, [parameter.detach() for parameter in self.parameters], weight)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges the parameters' values with the average; a second call undoes it."""
        for parameter, value in zip(self.parameters, self.values, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(value)
            value.copy_(kept)


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average, facts: Mapping[str, Any]) -> None:
    """Writes `state.safetensors` and `state.json`, the second one last. The old state is replaced when the new one is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    tensors |= {f"average.{number}": value.contiguous() for number, value in enumerate(average.values)}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value.contiguous() for name, value in values.items()}
    name = f"state-{facts['step']}.safetensors"
    save_file(tensors, folder / name)
    (folder / "state.json.new").write_text(json.dumps({**facts, "average_steps": average.steps, "tensors": name}, indent=1))
    (folder / "state.json.new").replace(folder / "state.json")
    for old in folder.glob("state-*.safetensors"):
        if old.name != name:
            old.unlink()


def load(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average) -> dict[str, Any]:
    """Restores what `save` wrote and returns its facts; {"step": 0, "seconds": 0.0} if there is nothing."""
    if not (folder / "state.json").exists():
        return {"step": 0, "seconds": 0.0}
    facts: dict[str, Any] = json.loads((folder / "state.json").read_text())
    tensors = load_file(folder / facts["tensors"])
    model.load_state_dict({name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")})
    for number, value in enumerate(average.values):
        value.copy_(tensors[f"average.{number}"])
    average.steps = facts["average_steps"]
    own = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".", 2)
            # In the parameter's memory format, which safetensors do not keep: mixed formats are slow.
            like = parameters[int(number)]
            states.setdefault(int(number), {})[key] = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
    optimizer.load_state_dict({"state": states, "param_groups": own["param_groups"]})
    return facts


def seed_step(seed: int, step: int) -> None:
    """Makes everything random in a step depend on the seed and its number alone."""
    torch.manual_seed(seed * 1_000_003 + step)
