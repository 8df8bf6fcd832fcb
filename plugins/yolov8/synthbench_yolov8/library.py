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

# ultralytics takes torchvision's NMS where torchvision happens to be imported already and its own elsewhere:
# importing it here makes results independent of what else the process has done.
import torchvision  # noqa: F401

if TYPE_CHECKING:
    from synthbench.types import Run

__all__ = ["DetectionModel", "DetectionTrainer", "LetterBox", "architecture", "contained", "load_checkpoint", "nms", "scale_boxes"]


@contextmanager
def _environment(*names: str, **values: str) -> Iterator[None]:
    """Sets environment variables to `values`, and puts these and `names` back as they were afterwards."""
    before = {name: os.environ.get(name) for name in (*names, *values)}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _integrate_nothing(instance: object) -> None:
    """In the place of usage statistics, an account's uploads and whatever experiment tracker is installed."""


_save = torch.save
# The names of the variables are ultralytics' own; it reads them, and writes its settings, while it is imported.
os.environ.update(YOLO_OFFLINE="1", YOLO_VERBOSE="0", YOLO_AUTOINSTALL="0")
with (
    tempfile.TemporaryDirectory() as _settings,
    _environment("OMP_NUM_THREADS", "NUMEXPR_MAX_THREADS", YOLO_CONFIG_DIR=_settings),
    np.printoptions(),
):
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
def contained(run: Run) -> Iterator[None]:
    """What the library changes in the process while it works is as it was afterwards."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn, fill = torch.backends.cudnn.deterministic, torch.utils.deterministic.fill_uninitialized_memory
    log = _Log(run)
    LOGGER.addHandler(log)
    try:
        with _environment("CUBLAS_WORKSPACE_CONFIG", "PYTHONHASHSEED", "NO_ALBUMENTATIONS_UPDATE"), warnings.catch_warnings():
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
