"""What the harness adds to a training: the same one as a job of a warm worker and in the library's own loop.

    uv run python tests/performance/bench_training.py [--seconds 120] [DETECTOR ...]

Both go at the same time, on a core each, from the same images, options, seed and number of steps; then once more with
the cores changed, so that what a machine does to one of them it does to the other. Each process has trained a little
before, so no import is in the figures. The own loops are in `own_loops.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import TYPE_CHECKING, Any

from own_loops import OWN, SEED
from synthbench.contract.options import configure
from synthbench.execution.engines import InProcess
from synthbench.execution.jobs import Job
from synthbench.execution.worker_process import Worker, worker_command
from synthbench.registry import installed
from synthbench.storage.local import LocalStore
from synthbench.storage.references import ArtifactRef, ViewRef
from synthbench.storage.views import read_view

if TYPE_CHECKING:
    from synthbench.execution.stage_run import Event

IMAGES, SIDE = 160, 96
PASS = IMAGES // 8  # steps of a pass over the images, in batches of 8
DATA = ArtifactRef(kind="data", key="d" * 64)
TRAINING = ViewRef(images=ArtifactRef(kind="select", key="5" * 64))
TIMEOUT = 3600.0
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "yolov8": {"image_size": 96, "batch_size": 8, "learning_rate": 0.003, "warmup_share": 0.1, "close_mosaic_share": 0.3},
    "fasterrcnn": {"image_size": 128, "stride": 4},
    "detr": {"image_size": 96},
    # Without scale jitter: these configs' own pipelines have none.
    "fasterrcnn-mmdet": {"config": "small-faster-rcnn", "image_size": 96, "scale_jitter": 1.0},
    "detr-mmdet": {"config": "small-deformable-detr", "image_size": 96, "scale_jitter": 1.0},
}


@dataclass
class Trained:
    """One training: wall time in seconds, optimiser steps, and the loss that was shown last."""

    seconds: float
    steps: int
    loss: float


def serve_own(detector: str, store: str) -> None:
    """The other process: a training in the library's own loop for each number of passes on standard input."""
    import torch

    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not pass for a result
    torch.set_num_threads(1)
    data = read_view(LocalStore(Path(store)), TRAINING)
    for line in sys.stdin:
        options, problems = configure(installed().get("detector", detector).cls, {**OPTIONS[detector], "max_train_steps": int(line) * PASS})
        assert options is not None, problems
        with tempfile.TemporaryDirectory() as folder:
            loop = OWN[detector](options, data, Path(folder))
            started = time.perf_counter()
            steps, loss = loop()
            results.write(json.dumps([time.perf_counter() - started, steps, loss]) + "\n")


class Own:
    """The library's own loop, in a plain process on one core."""

    def __init__(self, detector: str, store: LocalStore, log: Path) -> None:
        command = [sys.executable, __file__, "--own", detector, store.address]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
            )
        self.log = log

    def train(self, passes: int) -> Trained:
        """One training."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{passes}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the library's own loop ended:\n{self.log.read_text()[-2000:]}")
        return Trained(*json.loads(line))

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()


class Harness:
    """Trainings as jobs of a worker on one core."""

    def __init__(self, detector: str, store: LocalStore, log: Path) -> None:
        self.detector = detector
        self.worker = Worker(log, 1, True, worker_command(sys.executable, store.address))

    def train(self, passes: int) -> Trained:
        """One training."""
        events: list[Event] = []
        job = Job(
            kind="train",
            key=uuid.uuid4().hex * 2,
            plugin=("detector", self.detector),
            options={**OPTIONS[self.detector], "max_train_steps": passes * PASS},
            seed=SEED,
            views={"data": [TRAINING]},
        )
        started = time.perf_counter()
        outcome = self.worker.run(job, events.append, TIMEOUT)
        seconds = time.perf_counter() - started
        if outcome.error:
            raise SystemExit(f"{self.detector}: {outcome.error}\n{outcome.trace}")
        last: Any = next(event for event in reversed(events) if event["event"] == "progress" and event["label"] == "train")
        return Trained(seconds, last["done"], sum(value for name, value in last["figures"].items() if name == "loss"))

    def close(self) -> None:
        """Ends the worker."""
        self.worker.close()


def compare(detector: str, store: LocalStore, folder: Path, seconds: float) -> list[tuple[Trained, Trained]]:
    """Harness and own loop, side by side, twice."""
    pairs = []
    passes = 0
    everywhere = os.sched_getaffinity(0)
    for turn, cores in enumerate(((0, 1), (1, 0))):
        start = Barrier(2)

        def side(make: Callable[[], Own | Harness], core: int, start: Barrier = start) -> Trained:
            nonlocal passes
            os.sched_setaffinity(0, {core})  # of this thread; what it starts inherits it
            trainer = make()
            try:
                trainer.train(1)
                os.sched_setaffinity(0, everywhere)  # who only listens is not to take the core of who trains
                start.wait()
                if isinstance(trainer, Own) and not passes:  # while the other waits
                    short, long = trainer.train(1).seconds, trainer.train(3).seconds
                    passes = max(round((seconds - short) / ((long - short) / 2)) + 1, 1)
                start.wait()
                return trainer.train(passes)
            finally:
                start.abort()  # the other side must not wait for one that failed
                trainer.close()

        with ThreadPoolExecutor(2) as pool:
            harness = pool.submit(side, lambda: Harness(detector, store, folder / f"{detector}-{turn}.log"), cores[0])  # noqa: B023
            own = pool.submit(side, lambda: Own(detector, store, folder / f"{detector}-own-{turn}.log"), cores[1])  # noqa: B023
            errors = [error for each in (harness, own) if (error := each.exception()) and not isinstance(error, BrokenBarrierError)]
            if errors:
                raise errors[0]
            pairs.append((harness.result(), own.result()))
    return pairs


def main() -> None:
    """Prints a line for each training and one for each detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--own", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("detectors", nargs="*", metavar="DETECTOR")
    arguments = parser.parse_args()
    if arguments.own:
        serve_own(*arguments.own)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        options = {"train": IMAGES, "test": 1, "size": SIDE}
        store = LocalStore(folder / "store")
        parameters = {"split": "train", "count": None, "seed": 0}
        for job in (
            Job(kind=DATA.kind, key=DATA.key, plugin=("data-source", "orchard"), options=options),
            Job(kind=TRAINING.images.kind, key=TRAINING.images.key, reads={"data": DATA}, parameters=parameters),
        ):
            outcome = InProcess(store).run(job, lambda _: None, TIMEOUT)
            assert not outcome.error, outcome.error
        print(f"{IMAGES} orchard scenes of {SIDE} pixels, one thread and one core a side, about {arguments.seconds:g} s")
        print(f"{'detector':<18} {'steps':>6} {'harness':>9} {'own loop':>9} {'ratio':>7}   last loss: harness, own")
        for detector in arguments.detectors or OPTIONS:
            pairs = compare(detector, store, folder, arguments.seconds)
            for harness, own in pairs:
                assert harness.steps == own.steps, f"{detector}: {harness.steps} steps against {own.steps}"
                ratio = harness.seconds / own.seconds
                losses = f"{harness.loss:.6f}, {own.loss:.6f}"
                print(f"{detector:<18} {own.steps:>6} {harness.seconds:>7.2f} s {own.seconds:>7.2f} s {ratio:>7.4f}   {losses}", flush=True)
            both = sum(harness.seconds for harness, _ in pairs) / sum(own.seconds for _, own in pairs)
            print(f"{detector:<18} {'both turns':>26} {both:>7.4f}  {100 * (both - 1):+.2f} %", flush=True)


if __name__ == "__main__":
    main()
