"""From a config of mmdet's zoo to the model and the optimizer of a run, as plain JSON."""

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
    """`model`, `optim_wrapper` and `base_batch`: the batch for which the config's learning rate is meant, 0 for any.

    Inside `library.contained`. Raises SynthbenchError for configs that need more than boxes, and for overrides that do not fit.
    """
    preset = PRESETS.get(options.config, Preset(options.config, {}))
    held = library.shipped(zoo()[preset.config])
    if any(step.get("with_mask") or step.get("with_seg") for step in _tables(held.get("train_pipeline", []))):
        raise SynthbenchError(f"config: {options.config} learns from masks, and training sets have boxes only")
    if not held.get("model") or not held.get("optim_wrapper"):
        raise SynthbenchError(f"config: {options.config} has no model with an optimizer of its own")
    made: Settings = {key: held[key].to_dict() for key in ("model", "optim_wrapper")}
    made["base_batch"] = 0 if options.config in PRESETS else held.get("auto_scale_lr", {}).get("base_batch_size", 0)
    _detach(made["model"])
    if not options.weights:
        _thaw(made["model"])
    _count(made["model"], categories)
    _check_types(options.overrides)
    overrides.apply(preset.overrides, made)
    overrides.apply(options.overrides, made)
    _cap(made["model"])
    return made


def build(model: Settings, config: str) -> nn.Module:
    """The model on the CPU, its numbers not yet drawn; inside `library.contained`. Raises SynthbenchError where it cannot be built."""
    try:
        return library.MODELS.build(library.ConfigDict(model))
    except Exception as error:  # a constructor may raise anything for an argument that it does not know
        raise SynthbenchError(f"config: {config} cannot be built ({type(error).__name__}: {error})") from error


def to_json(settings: Settings) -> str:
    """As JSON, in which a tuple is a table with the key `tuple`: some modules take no list in its place."""

    def told(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: told(value) for key, value in node.items()}
        inner = [told(value) for value in node] if isinstance(node, list | tuple) else node
        return {"tuple": inner} if isinstance(node, tuple) else inner

    return json.dumps(told(settings), indent=1)


def from_json(text: str) -> Settings:
    """What `to_json` wrote."""
    settings: Settings = json.loads(text, object_hook=lambda table: tuple(table["tuple"]) if table.keys() == {"tuple"} else table)
    return settings


def with_threshold(model: Settings, score: float) -> Settings:
    """The model's settings with `score` as the threshold of its detections."""
    made: Settings = {**model, "test_cfg": copy.deepcopy(model.get("test_cfg"))}
    for table in _tables(made["test_cfg"]):
        if "score_thr" in table:
            table["score_thr"] = score
    return made


def _detach(model: Settings) -> None:
    """Without the weights it would fetch, the sizes its batches are resized to, and what needs several processes."""
    model.get("data_preprocessor", {}).pop("batch_augments", None)
    for table in list(_tables(model)):
        table.pop("pretrained", None)
        if table.get("type") == "SyncBN":
            table["type"] = "BN"  # the same in one process
        start = table.get("init_cfg")
        if isinstance(start, dict) and start.get("type") == "Pretrained":
            del table["init_cfg"]


def _thaw(model: Settings) -> None:
    """From scratch everything learns: nothing is frozen, and normalisations use what they see."""
    for table in _tables(model):
        table.pop("frozen_stages", None)  # every backbone freezes nothing by default
        if "norm_eval" in table:
            table["norm_eval"] = False
        if isinstance(table.get("norm_cfg"), dict) and "requires_grad" in table["norm_cfg"]:
            table["norm_cfg"]["requires_grad"] = True


def _count(model: Settings, categories: int) -> None:
    """Sets the number of categories, but not of region proposals, which know objects only."""
    proposals = [id(table) for table in _tables(model.get("rpn_head", {}))]
    for table in _tables(model):
        if "num_classes" in table and id(table) not in proposals:
            table["num_classes"] = categories


def _cap(model: Settings) -> None:
    """No more detections than queries: the heads of the DETR family take the best so many of all, and fail where there are fewer."""
    queries, test = model.get("num_queries"), model.get("test_cfg")
    if isinstance(queries, int) and isinstance(test, dict) and "max_per_img" in test:
        test["max_per_img"] = min(test["max_per_img"], queries)


def _check_types(given: overrides.Overrides) -> None:
    """Raises SynthbenchError for a module that nobody has registered: mmengine would import it, and mmcv evaluate it."""
    known = library.registered()
    last = {path: value for path, value in given.items() if path.endswith((".type", ".constructor"))}
    named = [*last.values(), *(table[key] for table in _tables(dict(given)) for key in ("type", "constructor") if key in table)]
    for name in named:
        if name not in known:
            raise SynthbenchError(f"overrides: mmdet has registered no module '{name}'{suggest(str(name), known)}")


def _tables(node: object) -> Iterator[dict[str, Any]]:
    """Every table in a nested config, the outer ones first."""
    if isinstance(node, dict):
        yield node
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    for value in list(inner):
        yield from _tables(value)
