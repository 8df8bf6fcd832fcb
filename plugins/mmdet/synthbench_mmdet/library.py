"""The only module that imports mmdet. It provides the operators that mmcv-lite lacks, keeps mmdet silent, and undoes its changes to
the process.

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
    """Sets environment variables; restores all of them afterwards, including those that a library has set."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


def _import_writers() -> None:
    """Imports yapf and matplotlib, which mmengine needs: while they are imported they write caches, here to a temporary folder instead
    of the user's own."""
    with tempfile.TemporaryDirectory() as folder, _environment(XDG_CACHE_HOME=folder, XDG_CONFIG_HOME=folder):
        for name in ("yapf.yapflib.yapf_api", "matplotlib.font_manager"):
            importlib.import_module(name)


@contextmanager
def _own_temporaries() -> Iterator[None]:
    """Temporary files are written to a folder that is removed at the end: PyTorch 2.1 writes a module while it is imported, and removes
    it only when the process ends normally."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


with _environment(), _own_temporaries(), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _import_writers()
    STAND_INS = operators.install()
    import cv2
    import mmcv.ops
    import mmdet.models
    import mmdet.registry
    import mmengine.registry.registry
    from mmcv.cnn.bricks import DropPath
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
    "DropPath",
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
OPENERS = (
    (mmengine.registry.registry, "get_object_from_string"),
    (CheckpointLoader, "load_checkpoint"),
    (Config, "fromfile"),
    # If transformers is installed, language models open folders and hub ids by name.
    *(
        (next(base for base in opener.__mro__ if "from_pretrained" in vars(base)), "from_pretrained")
        for opener in (vars(bert).get(name) for name in ("AutoTokenizer", "BertConfig", "HFBertModel"))
        if opener is not None
    ),
)
"""The functions through which mmengine and mmdet import modules by name and open files."""
MANAGED = (MMLogger, MessageHub, DefaultScope, Visualizer)
"""Classes whose instances mmengine keeps, by name, until the process ends."""


class _Log(logging.Handler):
    """Sends mmdet's warnings to the stage's log."""

    def __init__(self, run: Run) -> None:
        super().__init__(logging.WARNING)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line to the log."""
        self._run.log(f"mmdet: {record.getMessage()}")


def _refuse(*arguments: object, **keywords: object) -> None:
    raise SynthbenchError(f"mmengine was asked to import or open {[*arguments, *keywords.values()]}, which is not allowed in a config")


@contextmanager
def _refused(owner: Any, name: str) -> Iterator[None]:
    """Replaces the function `name` of a module or class by one that raises."""
    original = vars(owner)[name]
    setattr(owner, name, _refuse)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def contained(run: Run) -> Iterator[None]:
    """mmdet's scope, silent. Restores, at its end, the settings of the process that mmdet changes.

    Inside of it, mmengine imports nothing by name, reads only the configs that `shipped` reads, and opens no checkpoint.
    """
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    before = {managed: dict(managed._instance_dict) for managed in MANAGED}
    try:
        with ExitStack() as refusals, _environment(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for owner, name in OPENERS:
                refusals.enter_context(_refused(owner, name))
            logger = MMLogger.get_instance(f"synthbench-{id(run)}")
            logger.handlers[:] = [_Log(run)]
            DefaultScope.get_instance(f"synthbench-{id(run)}", scope_name="mmdet")
            yield
    finally:
        for managed, instances in before.items():
            managed._instance_dict.clear()
            managed._instance_dict.update(instances)
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)


@functools.cache
def registered() -> frozenset[str]:
    """The names of all modules that a config can use, of mmdet and of the libraries below it.

    Besides those in the registries, those of mmcv's operators, among which mmdet looks up pooling layers and kinds of NMS.
    """
    own = [registry for registry in vars(mmdet.registry).values() if isinstance(registry, Registry)]
    for registry in own:
        registry.import_from_location()
    parents = [registry.parent for registry in own if registry.parent is not None]
    layers = [name for name, value in vars(mmcv.ops).items() if isinstance(value, type) and issubclass(value, torch.nn.Module)]
    return frozenset([*layers, "nms", "soft_nms", *(name for registry in (*own, *parents) for name in registry.module_dict)])


def shipped(path: Path) -> Config:
    """One of mmdet's configs. Raises SynthbenchError if it needs a package that is not installed."""
    try:
        return _read_config(path, use_environment_variables=False)
    except (ImportError, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise SynthbenchError(f"config: {path.stem} needs a package that is not installed ({reason})") from error
