"""The only door to ultralytics: it comes in silent and offline, and what others would notice of it is put back.

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

if TYPE_CHECKING:
    from synthbench import Run

__all__ = ["DetectionModel", "DetectionTrainer", "LetterBox", "architecture", "contained", "cv2", "load_checkpoint", "nms", "scale_boxes"]


@contextmanager
def _environment(settings: str) -> Iterator[None]:
    """Environment variables under which ultralytics is silent and keeps its settings in a folder; afterwards all are as before."""
    before = dict(os.environ)
    os.environ.update(YOLO_OFFLINE="1", YOLO_VERBOSE="0", YOLO_AUTOINSTALL="0", YOLO_CONFIG_DIR=settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _integrate_nothing(instance: object) -> None:
    """In the place of usage statistics, an account's uploads and whatever experiment tracker is installed."""


_save = torch.save
# ultralytics reads these variables while it is imported, and sets others: OMP_NUM_THREADS, and LD_LIBRARY_PATH through OpenCV.
with tempfile.TemporaryDirectory() as _settings, _environment(_settings), np.printoptions():
    import cv2

    # ultralytics takes torchvision's NMS where torchvision happens to be imported and its own elsewhere:
    # importing it makes results independent of what else the process has done.
    import torchvision  # noqa: F401
    import ultralytics.utils.callbacks
    from ultralytics.data.augment import LetterBox
    from ultralytics.models.yolo.detect import DetectionTrainer
    from ultralytics.nn.tasks import DetectionModel, load_checkpoint
    from ultralytics.utils import LOGGER, ROOT, SETTINGS, YAML
    from ultralytics.utils.nms import non_max_suppression as nms
    from ultralytics.utils.ops import scale_boxes

    SETTINGS.update(sync=False)
torch.save = _save
ultralytics.utils.callbacks.add_integration_callbacks = _integrate_nothing
LOGGER.handlers.clear()


class _Log(logging.Handler):
    """Hands the library's warnings to the stage's log."""

    def __init__(self, run: Run) -> None:
        super().__init__(logging.WARNING)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        """A line of the log."""
        self._run.log(f"ultralytics: {record.getMessage()}")


@contextmanager
def contained(run: Run, settings: str) -> Iterator[None]:
    """What the library changes in the process while it works is as it was afterwards.

    settings: a folder for the settings of child processes that load data and import the library anew.
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
    """The layers of `yolov8n` to `yolov8x`, from the file that ultralytics ships (one for all five sizes)."""
    layers: dict[str, object] = YAML.load(ROOT / "cfg/models/v8/yolov8.yaml")
    return {**layers, "scale": model[-1]}
