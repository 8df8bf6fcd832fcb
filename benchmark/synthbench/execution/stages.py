"""Carrying out one job: calls the plugin and stores what it yields. Runs in a worker, or in the caller's process."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import requires
from pathlib import Path
from typing import Any, TypeVar

from synthbench.contract.hookspecs import environment_of
from synthbench.contract.options import configure
from synthbench.contract.types import Boxes, ImageSet, Sample, SampleRequest
from synthbench.errors import SynthbenchError
from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.provenance import versions
from synthbench.execution.stage_run import Event, StageRun
from synthbench.metrics import evaluate, precision_recall
from synthbench.registry import KINDS, installed
from synthbench.storage.boxes import read_boxes, write_boxes
from synthbench.storage.coco import write_set
from synthbench.storage.views import BOXES, joined

Item = TypeVar("Item", Sample, Boxes)
TRACE_LINES = 30
DROPPED = "boxes lay outside their image, had no size or no known category, and were dropped"
ACCELERATORS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, either under WSL


def carry_out(job: Job, emit: Callable[[Event], None]) -> Outcome:
    """Carries out a job; whatever goes wrong in the plugin is told in the outcome. Ctrl-C passes through."""
    run = StageRun(Path(job.workdir), job.seed, "cpu", job.threads, job.allow_pickle, emit)
    started = time.monotonic()
    error = trace = ""
    disk_full = False
    packages: dict[str, str] = {}
    try:
        if job.plugin:
            run.device = pick_device(job.device)
        limit_threads(job.threads)
        plugin, distribution = plugin_of(job)
        STAGES[job.stage](job, plugin, run)
        packages = packages_of(plugin, distribution) if distribution else {}
    except SynthbenchError as problem:
        error = str(problem)
    except Exception as problem:  # a plugin may raise anything; it costs its stage
        error = f"{type(problem).__name__}: {problem}"
        disk_full = is_disk_full(problem)
        trace = "\n".join(shorten_paths(traceback.format_exc()).splitlines()[-TRACE_LINES:])
    return Outcome(
        error=error,
        trace=trace,
        disk_full=disk_full,
        seconds=round(time.monotonic() - started, 3),
        peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        notes=tuple(run.notes),
        records=dict(run.records),
        python=platform.python_version(),
        packages=packages,
        device=name_device(run.device) if job.plugin else "",
    )


def is_disk_full(problem: Exception) -> bool:
    """Whether a write failed for want of room; safetensors tells it in words alone."""
    return getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(problem)


def shorten_paths(trace: str) -> str:
    """A traceback without the folders that say more of a machine than of an error: it may end in a published report."""
    return re.sub(r'File "([^"]+)"', lambda found: f'File "{"/".join(Path(found[1]).parts[-3:])}"', trace)


def pick_device(wanted: str) -> str:
    """`auto` becomes the accelerator that torch sees, where torch is installed and sees one."""
    if wanted != "auto":
        return wanted
    if sys.platform == "linux" and not any(Path(sign).exists() for sign in ACCELERATORS):
        return "cpu"  # without the seconds that torch takes to import: not every plugin needs it
    try:
        import torch
    except ImportError:
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def name_device(device: str) -> str:
    """The device and, for a CUDA one, what it is sold as."""
    if device.startswith("cuda") and (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return device


def limit_threads(threads: int) -> None:
    """Holds torch to `threads`, wherever an earlier stage's library has set something else."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for a torch that is yet to be loaded
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


def plugin_of(job: Job) -> tuple[Any, str]:
    """The configured plugin of a job and its distribution; None and nothing for the core's own stages."""
    if job.plugin is None:
        return None, ""
    kind = next(each for each in KINDS if each == job.plugin[0])
    found = installed().get(kind, job.plugin[1])
    plugin, problems = configure(found.plugin, job.options)
    if plugin is None:
        raise SynthbenchError("; ".join(problems))
    return plugin, found.distribution


def load(_job: Job, plugin: Any, run: StageRun) -> None:
    """Stores the real training and test images."""
    splits = plugin.load(run)
    counts: dict[str, dict[str, int]] = {}
    for split, samples in (("train", splits.train), ("test", splits.test)):
        images = write_set(run.workdir / split, splits.categories, samples)
        if not len(images):
            raise SynthbenchError(f"{plugin.name}: the {split} set is empty")
        if split == "test" and (unknown := sum(picture.boxes is None for picture in images)):
            raise SynthbenchError(f"{plugin.name}: {unknown} test images come without boxes, so nothing can be held against them")
        counts[split] = {"images": len(images), "boxes": sum(len(picture.boxes or ()) for picture in images)}
    about = {"categories": splits.categories, "rendered": splits.rendered, "license": splits.license, "source": splits.source}
    (run.workdir / "data.json").write_text(json.dumps({**about, "counts": counts}))


def fit(job: Job, plugin: Any, run: StageRun) -> None:
    """Fits a generator."""
    plugin.fit(joined(job.views["references"]), run)


def sample(job: Job, plugin: Any, run: StageRun) -> None:
    """Stores what a generator samples."""
    categories = joined(job.views["like"]).categories
    request = SampleRequest(job.extra["start"], job.extra["stop"], categories)
    images = write_set(run.workdir, categories, counted(plugin.sample(_fitted(job), request, run), len(request), Sample))
    run.log_metrics(images=len(images))


def locate(job: Job, plugin: Any, run: StageRun) -> None:
    """Stores a generator's boxes on given images."""
    images = joined(job.views["images"]).without_boxes()
    write_boxes(run.workdir / BOXES, fitting(counted(plugin.locate(_fitted(job), images, run), len(images), Boxes), images, run))


def train(job: Job, plugin: Any, run: StageRun) -> None:
    """Trains a detector."""
    given = joined(job.views["data"])
    data = given.subset(number for number, picture in enumerate(given) if picture.boxes is not None)
    if len(data) < len(given):  # not known to be empty: to learn from them as background would be wrong
        run.note(f"{len(given) - len(data)} images that nobody labelled were left out of the training")
    boxes = sum(len(picture.boxes or ()) for picture in data)
    run.log_metrics(training_images=len(data), training_boxes=boxes)
    if not boxes:
        raise SynthbenchError("there is not one box in the training set, so there is nothing to learn")
    plugin.train(data, run)


def predict(job: Job, plugin: Any, run: StageRun) -> None:
    """Stores a detector's boxes on given images."""
    images = joined(job.views["images"]).without_boxes()
    write_boxes(run.workdir / BOXES, fitting(counted(plugin.predict(_fitted(job), images, run), len(images), Boxes), images, run))


def annotate(job: Job, plugin: Any, run: StageRun) -> None:
    """Stores an annotator's boxes."""
    images = joined(job.views["images"])
    if job.views["images"][0].boxes is None and plugin.boxes_from == "":
        images = images.without_boxes()
    given = counted(plugin.annotate(images, joined(job.views["references"]), run), len(images), Boxes)
    held = list(fitting(given, images, run))
    write_boxes(run.workdir / BOXES, held)
    run.log_metrics(boxes=sum(len(each) for each in held), images_without_boxes=sum(not len(each) for each in held))


def score(job: Job, _plugin: Any, run: StageRun) -> None:
    """Scores predictions against the truth."""
    truth, predicted, categories = _against_truth(job)
    run.log_metrics(**{name: value for name, value in evaluate(truth, predicted, categories).items() if value is not None})


def judge(job: Job, _plugin: Any, run: StageRun) -> None:
    """Precision and recall of an annotator's boxes at IoU 0.5, where there is anything to divide by."""
    truth, predicted, _ = _against_truth(job)
    counts = precision_recall(truth, predicted, 0.5)
    run.log_metrics(**asdict(counts))
    run.log_metrics(**{name: value for name, value in (("precision", counts.precision), ("recall", counts.recall)) if value is not None})


STAGES: Mapping[str, Callable[[Job, Any, StageRun], None]] = {
    each.__name__: each for each in (fit, sample, locate, train, predict, annotate, score, judge)
} | {"data": load}


def counted(given: Iterable[object], wanted: int, kind: type[Item]) -> Iterator[Item]:
    """Passes on what a plugin yields. Raises SynthbenchError where it yields something else, or more or fewer than asked for."""
    what = "images" if kind is Sample else "boxes"
    number = 0
    for number, each in enumerate(given, start=1):
        if number > wanted:
            raise SynthbenchError(f"the plugin yielded more than the {wanted} {what} that it was asked for")
        if not isinstance(each, kind):
            raise SynthbenchError(f"the plugin yielded a {type(each).__name__}, expected {kind.__name__}")
        yield each
    if number < wanted:
        raise SynthbenchError(f"the plugin yielded {number} of the {wanted} {what} that it was asked for")


def fitting(given: Iterable[Boxes], images: ImageSet, run: StageRun) -> Iterator[Boxes]:
    """Boxes clipped to their images; those of no size or of an unknown category are dropped, and counted in a note."""
    import numpy as np

    dropped = 0
    for boxes, picture in zip(given, images, strict=True):
        edges = np.array([picture.width, picture.height] * 2, np.float32)
        clipped = Boxes(np.clip(boxes.xyxy, 0, edges), boxes.labels, boxes.scores, boxes.crowd)
        sound = (clipped.xyxy[:, 2:] > clipped.xyxy[:, :2]).all(1) & (boxes.labels >= 0) & (boxes.labels < len(images.categories))
        dropped += int((~sound).sum())
        yield clipped.keep(sound)
    if dropped:
        run.note(f"{dropped} {DROPPED}")


def _fitted(job: Job) -> Path:
    assert job.fitted is not None, "the plan gives every late stage its early one"
    return Path(job.fitted)


def _against_truth(job: Job) -> tuple[list[Boxes], list[Boxes], int]:
    assert job.predictions is not None, "the plan gives every score its predictions"
    images = joined(job.views["truth"])
    truth = [picture.boxes or Boxes.none() for picture in images]
    return truth, read_boxes(Path(job.predictions) / BOXES), len(images.categories)


def packages_of(plugin: Any, own: str) -> dict[str, str]:
    """The versions of what a plugin of the distribution `own` stands on: itself, what it requires or its environment was made of."""
    environment = environment_of(plugin)
    required = environment.dependencies if environment is not None else requires(own) or ()
    wanted = dict(versions(["numpy", own, *(() if own == "synthbench" else required)]))
    wanted.pop("synthbench", None)  # its release and commit are kept for the run
    return wanted
