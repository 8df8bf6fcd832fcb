"""The only door to mmdet: with operators in any case, silent, and what others would notice of it is put back.

Importing this module imports torch and all of mmdet's models, which takes seconds.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from synthbench import SynthbenchError

from synthbench_mmdet import operators

if TYPE_CHECKING:
    from synthbench import Run


@contextmanager
def _environment(**changes: str) -> Iterator[None]:
    """Environment variables that are as before afterwards, whatever a library has set in between."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _import_writers() -> None:
    """yapf and matplotlib, which mmengine imports, write pickles and lists of fonts into the user's folders: into a passing one now."""
    with tempfile.TemporaryDirectory() as folder, _environment(XDG_CACHE_HOME=folder, XDG_CONFIG_HOME=folder):
        for name in ("yapf.yapflib.yapf_api", "matplotlib.font_manager"):
            importlib.import_module(name)


@contextmanager
def _passing_temporaries() -> Iterator[None]:
    """Temporary files go with it: PyTorch 2.1 writes a module while parts of it are imported, which a killed worker would leave."""
    held = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = held


with _environment(), _passing_temporaries(), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _import_writers()
    STAND_INS = operators.install()
    import cv2
    import mmcv.ops
    import mmdet.models
    import mmdet.registry
    import mmengine.registry.registry
    from mmcv.ops import multi_scale_deform_attn
    from mmdet.models.language_models import bert
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmengine.config import Config, ConfigDict
    from mmengine.dataset import pseudo_collate
    from mmengine.hooks import Hook
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.registry import DefaultScope, Registry
    from mmengine.runner import Runner
    from mmengine.runner.checkpoint import CheckpointLoader
    from mmengine.structures import InstanceData
    from mmengine.visualization import Visualizer

__all__ = [
    "MODELS",
    "STAND_INS",
    "Config",
    "ConfigDict",
    "DetDataSample",
    "Hook",
    "InstanceData",
    "MMLogger",
    "Runner",
    "contained",
    "pseudo_collate",
    "registered",
    "shipped",
]

if STAND_INS:
    multi_scale_deform_attn.IS_CUDA_AVAILABLE = False  # mmcv's own path in plain PyTorch, on a GPU too
_read_config = Config.fromfile
DOORS = (
    (mmengine.registry.registry, "get_object_from_string"),
    (CheckpointLoader, "load_checkpoint"),
    (Config, "fromfile"),
    # Language models open folders and hub ids by their names, where transformers is installed.
    *(
        (next(base for base in opener.__mro__ if "from_pretrained" in vars(base)), "from_pretrained")
        for opener in (vars(bert).get(name) for name in ("AutoTokenizer", "BertConfig", "HFBertModel"))
        if opener is not None
    ),
)
MANAGED = (MMLogger, MessageHub, DefaultScope, Visualizer)
"""Classes of which mmengine keeps instances by name for as long as the process lives."""


class _Log(logging.Handler):
    """Hands the library's warnings to the stage's log."""

    def __init__(self, run: Run) -> None:
        super().__init__(logging.WARNING)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        """A line of the log."""
        self._run.log(f"mmdet: {record.getMessage()}")


def _refuse(*given: object, **named: object) -> None:
    raise SynthbenchError(f"mmengine was asked to import or open {[*given, *named.values()]}, which nothing that we build has to")


@contextmanager
def _closed(place: Any, name: str) -> Iterator[None]:
    held = vars(place)[name]
    setattr(place, name, _refuse)
    try:
        yield
    finally:
        setattr(place, name, held)


@contextmanager
def contained(run: Run) -> Iterator[None]:
    """mmdet's scope, silent. What the library changes in the process is as it was afterwards.

    While it lasts, mmengine imports nothing by name, reads no config but those of `shipped`, and opens no checkpoint.
    """
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    held = {managed: dict(managed._instance_dict) for managed in MANAGED}
    try:
        with ExitStack() as doors, _environment(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for place, name in DOORS:
                doors.enter_context(_closed(place, name))
            logger = MMLogger.get_instance(f"synthbench-{id(run)}")
            logger.handlers[:] = [_Log(run)]
            DefaultScope.get_instance(f"synthbench-{id(run)}", scope_name="mmdet")
            yield
    finally:
        for managed, instances in held.items():
            managed._instance_dict.clear()
            managed._instance_dict.update(instances)
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)


@functools.cache
def registered() -> frozenset[str]:
    """The names of all modules that a config can ask for, of mmdet and of what it stands on.

    Besides the registries', those of mmcv's operators, among which mmdet looks for poolings and kinds of NMS.
    """
    own = [registry for registry in vars(mmdet.registry).values() if isinstance(registry, Registry)]
    for registry in own:
        registry.import_from_location()
    parents = [registry.parent for registry in own if registry.parent is not None]
    layers = [name for name, held in vars(mmcv.ops).items() if isinstance(held, type) and issubclass(held, torch.nn.Module)]
    return frozenset([*layers, "nms", "soft_nms", *(name for registry in (*own, *parents) for name in registry.module_dict)])


def shipped(path: Path) -> Config:
    """One of mmdet's configs. Raises SynthbenchError where it needs a package that is not installed."""
    try:
        return _read_config(path, use_environment_variables=False)
    except (ImportError, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise SynthbenchError(f"config: {path.stem} needs what is not installed here ({reason})") from error
