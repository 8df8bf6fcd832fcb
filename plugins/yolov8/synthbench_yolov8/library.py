"""The only module that imports ultralytics. It keeps ultralytics silent and offline, and undoes its changes to the process.

Importing this module imports torch and ultralytics, which takes seconds.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from synthbench import Run

__all__ = [
    "DetectionModel",
    "DetectionTrainer",
    "InfiniteDataLoader",
    "LetterBox",
    "architecture",
    "contained",
    "cv2",
    "load_checkpoint",
    "nms",
    "scale_boxes",
    "seed_worker",
]


@contextmanager
def _environment(settings: str) -> Iterator[None]:
    """Sets the variables that make ultralytics silent and name the folder of its settings; restores the environment afterwards."""
    before = dict(os.environ)
    os.environ.update(YOLO_OFFLINE="1", YOLO_VERBOSE="0", YOLO_AUTOINSTALL="0", YOLO_CONFIG_DIR=settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _integrate_nothing(instance: object) -> None:
    """Replaces the callbacks that send usage statistics, upload to an account, or use an installed experiment tracker."""


_save, _open = torch.save, Image.open
# ultralytics reads these variables while it is imported, and sets others: OMP_NUM_THREADS, and LD_LIBRARY_PATH through OpenCV.
with tempfile.TemporaryDirectory() as _settings, _environment(_settings), np.printoptions():
    import cv2

    # ultralytics uses torchvision's NMS if torchvision is already imported, and its own otherwise:
    # importing it here makes results independent of what else the process has done.
    import torchvision  # noqa: F401
    import ultralytics.utils.callbacks
    from ultralytics.data.augment import LetterBox
    from ultralytics.data.build import InfiniteDataLoader, seed_worker
    from ultralytics.models.yolo.detect import DetectionTrainer
    from ultralytics.nn.tasks import DetectionModel, load_checkpoint
    from ultralytics.utils import LOGGER, ROOT, SETTINGS, YAML
    from ultralytics.utils.nms import non_max_suppression as nms
    from ultralytics.utils.ops import scale_boxes

    SETTINGS.update(sync=False)
torch.save, Image.open = _save, _open  # its `open` wants a further library for every file that is no image
ultralytics.utils.callbacks.add_integration_callbacks = _integrate_nothing
LOGGER.handlers.clear()


class _Log(logging.Handler):
    """Sends ultralytics' warnings to the stage's log."""

    def __init__(self, run: Run) -> None:
        super().__init__(logging.WARNING)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line to the log."""
        self._run.log(f"ultralytics: {record.getMessage()}")


@contextmanager
def contained(run: Run, settings: str) -> Iterator[None]:
    """Restores, at its end, the settings of the process that ultralytics changes while it works.

    settings: a folder for the settings of the child processes that load data, each of which imports ultralytics.
    """
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn, fill = torch.backends.cudnn.deterministic, torch.utils.deterministic.fill_uninitialized_memory
    log = _Log(run)
    LOGGER.addHandler(log)
    try:
        with _environment(settings), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.set_num_threads(run.threads)
            yield
    finally:
        LOGGER.removeHandler(log)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.deterministic, torch.utils.deterministic.fill_uninitialized_memory = cudnn, fill


def architecture(model: str) -> dict[str, object]:
    """The layers of `yolov8n` to `yolov8x`, from the one file that ultralytics ships for all five sizes."""
    layers: dict[str, object] = YAML.load(ROOT / "cfg/models/v8/yolov8.yaml")
    return {**layers, "scale": model[-1]}
