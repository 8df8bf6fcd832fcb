"""Resolves a config of mmdet's zoo to the settings of a model and an optimizer, as plain JSON."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from synthbench.errors import SynthbenchError, suggest

from synthbench_mmdet import library, overrides
from synthbench_mmdet.presets import PRESETS, Preset
from synthbench_mmdet.zoo import zoo

if TYPE_CHECKING:
    from torch import nn

    from synthbench_mmdet import Mmdet

Settings = dict[str, Any]


def resolve(options: Mmdet, categories: int) -> Settings:
    """The settings `model`, `optim_wrapper` and `base_batch_size`, for which the config's learning rate is meant (0: for any).

    Call it inside `library.contained`. Raises SynthbenchError for configs that need more than boxes, and overrides that do not fit.
    """
    preset = PRESETS.get(options.config, Preset(options.config, {}))
    config = library.shipped(zoo()[preset.config])
    if any(step.get("with_mask") or step.get("with_seg") for step in _tables(config.get("train_pipeline", []))):
        raise SynthbenchError(f"config: {options.config} learns from masks, and training sets have boxes only")
    if not config.get("model") or not config.get("optim_wrapper"):
        raise SynthbenchError(f"config: {options.config} has no model with an optimizer of its own")
    settings: Settings = {key: config[key].to_dict() for key in ("model", "optim_wrapper")}
    settings["base_batch_size"] = 0 if options.config in PRESETS else config.get("auto_scale_lr", {}).get("base_batch_size", 0)
    _detach(settings["model"])
    if not options.weights:
        _unfreeze(settings["model"])
    _set_categories(settings["model"], categories)
    _check_types(options.overrides)
    overrides.apply(preset.overrides, settings)
    overrides.apply(options.overrides, settings)
    _limit_detections(settings["model"])
    return settings


def build(model: Settings, config: str) -> nn.Module:
    """The model on the CPU, before mmengine's Runner initialises its weights. Call it inside `library.contained`.

    Raises SynthbenchError if it cannot be built.
    """
    try:
        return library.MODELS.build(library.ConfigDict(model))
    except Exception as error:  # a constructor may raise anything for an argument that it does not know
        raise SynthbenchError(f"config: {config} cannot be built ({type(error).__name__}: {error})") from error


def to_json(settings: Settings) -> str:
    """JSON, in which a tuple is a table with the key `tuple`: some modules need a tuple and refuse a list."""

    def encode(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: encode(value) for key, value in node.items()}
        inner = [encode(value) for value in node] if isinstance(node, list | tuple) else node
        return {"tuple": inner} if isinstance(node, tuple) else inner

    return json.dumps(encode(settings), indent=1)


def from_json(text: str) -> Settings:
    """The settings that `to_json` wrote."""
    settings: Settings = json.loads(text, object_hook=lambda table: tuple(table["tuple"]) if table.keys() == {"tuple"} else table)
    return settings


def with_threshold(model: Settings, score_threshold: float) -> Settings:
    """The model's settings with this threshold for detections."""
    changed: Settings = {**model, "test_cfg": copy.deepcopy(model.get("test_cfg"))}
    for table in _tables(changed["test_cfg"]):
        if "score_thr" in table:
            table["score_thr"] = score_threshold
    return changed


def _detach(model: Settings) -> None:
    """Removes weights that mmdet would download, the resizing of batches, and what needs several processes."""
    model.get("data_preprocessor", {}).pop("batch_augments", None)
    for table in list(_tables(model)):
        table.pop("pretrained", None)
        if table.get("type") == "SyncBN":
            table["type"] = "BN"  # the same in one process
        initialisation = table.get("init_cfg")
        if isinstance(initialisation, dict) and initialisation.get("type") == "Pretrained":
            del table["init_cfg"]


def _unfreeze(model: Settings) -> None:
    """For training from scratch: nothing is frozen, and batch normalisation uses the statistics of the batch."""
    for table in _tables(model):
        table.pop("frozen_stages", None)  # the default of every backbone is to freeze nothing
        if "norm_eval" in table:
            table["norm_eval"] = False
        if isinstance(table.get("norm_cfg"), dict) and "requires_grad" in table["norm_cfg"]:
            table["norm_cfg"]["requires_grad"] = True


def _set_categories(model: Settings, categories: int) -> None:
    """Sets the number of categories everywhere but in the region proposals, whose only category is `object`."""
    proposals = [id(table) for table in _tables(model.get("rpn_head", {}))]
    for table in _tables(model):
        if "num_classes" in table and id(table) not in proposals:
            table["num_classes"] = categories


def _limit_detections(model: Settings) -> None:
    """Limits detections to the number of queries: the heads of the DETR family select the best `max_per_img`, and fail if there are
    fewer."""
    queries, test = model.get("num_queries"), model.get("test_cfg")
    if isinstance(queries, int) and isinstance(test, dict) and "max_per_img" in test:
        test["max_per_img"] = min(test["max_per_img"], queries)


def _check_types(changes: overrides.Overrides) -> None:
    """Raises SynthbenchError for a module that is not registered: mmengine would import it, and mmcv would evaluate it."""
    known = library.registered()
    last = {path: value for path, value in changes.items() if path.endswith((".type", ".constructor"))}
    names = [*last.values(), *(table[key] for table in _tables(dict(changes)) for key in ("type", "constructor") if key in table)]
    for name in names:
        if name not in known:
            raise SynthbenchError(f"overrides: mmdet has registered no module '{name}'{suggest(str(name), known)}")


def _tables(node: object) -> Iterator[dict[str, Any]]:
    """Every table in a nested config, the outer ones first."""
    if isinstance(node, dict):
        yield node
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    for value in list(inner):
        yield from _tables(value)
