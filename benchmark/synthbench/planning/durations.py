"""How long stages take, from those that were run before."""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from synthbench.contract.stages import STAGES
from synthbench.errors import SynthbenchError
from synthbench.planning.stage import Stage, canonical
from synthbench.storage.store import StageRecord

LONGEST = 1e12  # seconds: sums of what is shorter stay finite
Likeness = tuple[str, ...]


class Lately(Protocol):
    """What is read of a store: some records of stages of a kind, the latest first."""

    def recent(self, kind: str) -> Iterable[StageRecord]: ...  # noqa: D102


@dataclass(frozen=True)
class Durations:
    """Seconds that stages took, by what they have in common with others; see `likenesses`.

    given: seconds by kind, or by `kind.plugin`, which go before what was measured.
    """

    taken: Mapping[Likeness, list[float]] = field(default_factory=dict)
    given: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_records(cls, records: Iterable[StageRecord], given: Mapping[str, float] | None = None) -> Durations:
        """From the records of finished stages."""
        taken: dict[Likeness, list[float]] = defaultdict(list)
        for record in records:
            for likeness in likenesses(record.kind, record.recipe):
                taken[likeness].append(record.seconds)
        return cls(taken, given or {})

    def of(self, stage: Stage) -> float | None:
        """Seconds that a stage will take: the median of those most like it. None if no stage of its kind is known."""
        plugin = stage.entry.info.name if stage.entry else ""
        for name in (f"{stage.kind}.{plugin}", stage.kind):
            if name in self.given:
                return self.given[name]
        for likeness in likenesses(stage.kind, stage.recipe):
            if seconds := self.taken.get(likeness):
                return median(seconds)
        return None


def likenesses(kind: str, recipe: Mapping[str, Any]) -> list[Likeness]:
    """What a stage has in common with others, the most telling first: plugin and options, the plugin, the kind."""
    plugin = str(recipe.get("plugin", ""))
    options = json.dumps([canonical(recipe.get("options", {})), recipe.get("count")], sort_keys=True, default=str)
    return [(kind, plugin, options), (kind, plugin), (kind,)]


def durations_of(stages: Iterable[Stage], store: Lately, given: Mapping[str, float] | None = None) -> Durations:
    """What a store tells of stages like these."""
    kinds = {stage.kind for stage in stages}
    return Durations.of_records((record for kind in sorted(kinds) for record in store.recent(kind)), given)


def read_times(path: Path) -> dict[str, float]:
    """A table of seconds by kind of stage, or by `kind.plugin`.

    train = 600

    [fit]
    sdxl-lora = 5400

    Raises SynthbenchError if it is no such table, with the place.
    """
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise SynthbenchError(f"{path}: cannot be read ({error})") from None
    found: dict[str, float] = {}
    for kind, value in content.items():
        if kind not in STAGES:
            raise SynthbenchError(f"{path}: {kind!r} is no kind of stage; kinds are {', '.join(STAGES)}")
        rows = {f"{kind}.{plugin}": each for plugin, each in value.items()} if isinstance(value, dict) else {kind: value}
        for name, seconds in rows.items():
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < LONGEST:
                raise SynthbenchError(f"{path}: {name} is {seconds!r}, and should be seconds, 0 or more, and less than {LONGEST:g}")
            found[name] = float(seconds)
    return found
