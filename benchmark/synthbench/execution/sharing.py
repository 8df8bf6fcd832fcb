"""What stages share: folders that a plugin fills once, stored as artifacts under keys of their own. See `synthbench.Run.shared`."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthbench.execution.jobs import Job
from synthbench.execution.stage_run import StageRun
from synthbench.planning.stage import CORE_VERSION, key_of
from synthbench.storage.store import Artifact, Busy, DamagedArtifact, StageRecord, Store

SHARED = "shared"
"""The store's folder for them."""
PAUSE = 0.5  # seconds between two looks whether another stage has finished
TAKEN_OVER = ("plugin", "version", "environment")  # of a stage's recipe


def shared_folder(job: Job, store: Store, run: StageRun, name: str, options: Sequence[str], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, from the store or made now. Waits while another stage makes it.

    A stop leaves what was written for the next attempt, as `fit` does. A damaged folder is set aside and made again.
    Raises ValueError if an option is not part of this stage's key, and whatever `make` raises.
    """
    recipe = recipe_of(job.about["recipe"], name, options)
    key = key_of(recipe)
    has_told = False
    while True:
        try:
            if (found := intact(store, key, run)) is not None:
                run.note(f"{name}: from the store; the {found.record.seconds:.0f} s of making it are not in this stage's time")
                return found.folder
            with store.build(SHARED, key, resumable=True) as build:
                if intact(store, key, run) is not None:  # another process has just made it
                    continue
                started = time.monotonic()
                make(build.folder)
                about = {part: job.about.get(part, "") for part in ("commit", "code")}
                seconds = round(time.monotonic() - started, 3)
                label = f"{name} of {recipe['plugin']}"
                record = StageRecord(
                    label=label, recipe=recipe, seconds=seconds, python=platform.python_version(), device=run.device, **about
                )
                return build.publish(record).folder
        except Busy:
            if not has_told:
                run.log(f"waits for {name}, which another stage makes")
                run.emit({"event": "progress", "label": f"waits for {name}", "done": 0, "total": None, "unit": "", "figures": {}})
                has_told = True
            time.sleep(PAUSE)


def recipe_of(stage: Mapping[str, Any], name: str, options: Sequence[str]) -> dict[str, Any]:
    """What a shared folder's key is made of, from the recipe of the stage that asks: files are in it by their content.

    Raises ValueError if an option is not in the stage's own key.
    """
    if unknown := [each for each in options if each not in stage["options"]]:
        raise ValueError(f"shared {name!r}: {', '.join(unknown)}: not among the options that count for this stage")
    return {
        "stage": SHARED,
        "core": CORE_VERSION,
        "shared": name,
        "seed": stage["seed"],
        "options": {each: stage["options"][each] for each in sorted(options)},
        **{part: stage[part] for part in TAKEN_OVER if part in stage},
    }


def intact(store: Store, key: str, run: StageRun) -> Artifact | None:
    """The stored folder, every file checked; a damaged one is set aside."""
    try:
        return store.verify(SHARED, key)
    except DamagedArtifact as damage:
        run.log(f"{damage}; set aside as {store.set_aside(SHARED, key)}")
        return None
