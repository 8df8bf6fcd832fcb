"""The table of stages: one entry for each kind. Plans, workers, reports and progress read it, so a new kind is one entry here,
one function, and the place in `planning.planner` that asks for it.

    STAGES["count"] = StageKind(name="count", function="my_module:count", inputs=("images",), leaves="count.json")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

PluginKind = Literal["data-source", "generator", "annotator", "detector"]
PLUGIN_KINDS: tuple[PluginKind, ...] = get_args(PluginKind)
OWN = "synthbench.execution.stages"
COMPARING = "synthbench.execution.comparing"
LABELLING = "synthbench.execution.labelling"


@dataclass(frozen=True, kw_only=True)
class StageKind:
    """What a kind of stage is.

    name: also that of the store's folder. function: `module:function`, which takes a `synthbench.execution.perform.Task`.
    plugin, method: whose work it is, and the plugin's method; None and empty for the core's own.
    inputs: the artifacts and views it may read. Nothing but `truth` gives the boxes of the test images.
    options: the plugin's options that count besides those without a mark: the marks of `option(…, stage=…)`; None: none counts.
    resumable: what a stopped stage wrote stays, and the next attempt finds it.
    extends: the first images of a longer result are those of a shorter one, so a longer one samples the missing images only.
    leaves: what is in the artifact.
    gpu: it runs on the accelerator where there is one; the core's own stages do not.
    cost: the heading of its column in the report's table of costs; empty where it is not counted.
    phase: what progress shows until the stage reports by itself.
    refuses: if it fails, the suite must change: what leads to nothing but the stages that it blocks is not run.
    """

    name: str
    function: str
    plugin: PluginKind | None = None
    method: str = ""
    inputs: tuple[str, ...] = ()
    options: tuple[str, ...] | None = ()
    resumable: bool = False
    extends: bool = False
    leaves: str = ""
    gpu: bool = False
    cost: str = ""
    phase: str = "starting"
    refuses: bool = False


_TABLE = (
    StageKind(
        name="data",
        function=f"{OWN}:load_data",
        plugin="data-source",
        method="load",
        leaves="`train/`, `test/` (images, `annotations.json`), `data.json`; plugins never read it",
        phase="reading the data",
    ),
    StageKind(
        name="check",
        function=f"{COMPARING}:check_splits",
        inputs=("data",),
        leaves="near-duplicates across training and test images: counts in `stage.json`, the first ones in `pairs.json`",
        phase="comparing training and test images",
    ),
    StageKind(
        name="select",
        function=f"{OWN}:select_images",
        inputs=("data", "features"),
        leaves="some images of a split, `annotations.json` with their boxes, or without any for the test images",
        phase="selecting images",
    ),
    StageKind(
        name="ask",
        function=f"{OWN}:ask",
        plugin="generator",
        method="check_boxes",
        inputs=("like",),
        options=("sample",),
        leaves="nothing: whether the generator's images will have boxes",
        phase="asking the generator",
        refuses=True,
    ),
    StageKind(
        name="fit",
        function=f"{OWN}:fit",
        plugin="generator",
        method="fit",
        inputs=("references",),
        resumable=True,
        leaves="what the plugin writes",
        gpu=True,
        cost="fit the generator",
        phase="loading libraries",
    ),
    StageKind(
        name="sample",
        function=f"{OWN}:sample",
        plugin="generator",
        method="sample",
        inputs=("fitted", "like"),
        options=("sample",),
        extends=True,
        leaves="images, `annotations.json`",
        gpu=True,
        cost="sample images",
        phase="loading the generator",
    ),
    StageKind(
        name="locate",
        function=f"{OWN}:locate",
        plugin="generator",
        method="locate",
        inputs=("fitted", "images"),
        options=("sample",),
        leaves="`boxes.npz`",
        gpu=True,
        phase="loading the generator",
    ),
    StageKind(
        name="train",
        function=f"{OWN}:train",
        plugin="detector",
        method="train",
        inputs=("data",),
        leaves="what the plugin writes",
        gpu=True,
        cost="train for annotating",
        phase="loading libraries",
    ),
    StageKind(
        name="predict",
        function=f"{OWN}:predict",
        plugin="detector",
        method="predict",
        inputs=("fitted", "images"),
        options=("predict",),
        leaves="`boxes.npz`",
        gpu=True,
        cost="propose boxes",
        phase="loading the detector",
    ),
    StageKind(
        name="label",
        function=f"{LABELLING}:take_answers",
        inputs=("images",),
        leaves="`boxes.npz`: what people answered, and counts in `stage.json`; it waits until the answers are imported",
        phase="reading answers",
    ),
    StageKind(
        name="annotate",
        function=f"{OWN}:annotate",
        plugin="annotator",
        method="annotate",
        inputs=("images", "references", "features", "reference_features"),
        leaves="`boxes.npz`; `rejected.json` if images were rejected",
        gpu=True,
        cost="annotate",
        phase="annotating",
    ),
    StageKind(
        name="score",
        function=f"{OWN}:score",
        inputs=("predictions", "truth"),
        leaves="COCO's figures in `stage.json`, `matches.npz`",
        phase="scoring",
    ),
    StageKind(
        name="judge",
        function=f"{OWN}:judge",
        inputs=("predictions", "truth"),
        leaves="precision and recall in `stage.json`",
        phase="scoring",
    ),
    StageKind(
        name="agree",
        function=f"{LABELLING}:compare_with_people",
        inputs=("predictions", "answers"),
        leaves="precision and recall on generated images, and how people corrected the boxes, in `stage.json`",
        phase="comparing with people's boxes",
    ),
    StageKind(
        name="features",
        function=f"{COMPARING}:describe_images",
        plugin="detector",
        method="features",
        inputs=("images",),
        options=None,
        leaves="`features.npy`",
        gpu=True,
        phase="loading the network",
    ),
    StageKind(
        name="compare",
        function=f"{COMPARING}:compare_images",
        inputs=("images", "references", "real", "features", "real_features"),
        leaves="copies of references and distances to the real training images in `stage.json`, the first copies in `pairs.json`",
        phase="comparing images",
    ),
)
STAGES: dict[str, StageKind] = {kind.name: kind for kind in _TABLE}
"""By name, in the order of a row's way."""


def option_marks(plugin: PluginKind) -> tuple[str, ...]:
    """The marks that options of this kind of plugin may have: `sample` for generators, `predict` for detectors."""
    return tuple(dict.fromkeys(mark for kind in STAGES.values() if kind.plugin == plugin for mark in kind.options or ()))


def cost_headings() -> Mapping[str, str]:
    """The kinds of stages whose seconds a training set costs, with their headings in the report."""
    return {name: kind.cost for name, kind in STAGES.items() if kind.cost}
