"""The weights that training starts from: random, from ImageNet, or a whole detector's. Downloads need `--download`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synthbench import fetched, find_weights, is_address, is_hub_id, read_weights
from synthbench.errors import SynthbenchError, suggest
from torch import Tensor, nn
from torchvision.models import get_model_weights

from synthbench_fasterrcnn.model import OWN, Spec, build

if TYPE_CHECKING:
    from synthbench import Run

    from synthbench_fasterrcnn import FasterRCNN

State = dict[str, Tensor]
FROZEN = {"efficientnet_lite0": 2, "resnet50_fpn": 5, "resnet50_fpn_v2": 5, "mobilenet_v3_large_fpn": 7, "mobilenet_v3_large_320_fpn": 7}
"""How many of a pretrained backbone's first modules are frozen: for torchvision's own as by its default of three trainable
layers, for EfficientNet-Lite0 those of strides 2 and 4."""


def start(options: FasterRCNN, categories: tuple[str, ...], anchor_sizes: tuple[float, ...], run: Run) -> tuple[Spec, nn.Module]:
    """The model to train and its description. Raises SynthbenchError if weights are missing or cannot be opened."""
    name = options.backbone
    imagenet = options.imagenet and not options.weights and name != "small"
    spec = Spec(name, categories, options.image_size, options.stride, anchor_sizes)
    model = build(spec, options, imagenet=imagenet)
    if options.weights:
        _fill(model, _open(options, run), options.weights, run)
        _freeze_norms(model)
    elif imagenet:
        if name not in OWN:
            network = "resnet50" if name.startswith("resnet50") else "mobilenet_v3_large"
            state = read_weights(fetched(get_model_weights(network)["IMAGENET1K_V1"].url, run), run)
            # The body has mobilenet's layers without the "features." before their names, and no classifier.
            state = {key.removeprefix("features."): tensor for key, tensor in state.items()}
            model.backbone.body.load_state_dict({key: state[key] for key in model.backbone.body.state_dict()})
        _freeze_norms(model.backbone.body)
    if options.weights or imagenet:
        for module in list(model.backbone.body.children())[: FROZEN.get(name, 0)]:
            module.requires_grad_(False)
    return spec, model


def _freeze_norms(module: nn.Module) -> None:
    """Freezes BatchNorms: statistics of a few images are worse than those that were learned from many."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.requires_grad_(False)


def _fill(model: nn.Module, state: State, source: str, run: Run) -> None:
    """Loads the tensors whose names and shapes match, and notes the others: a head for other categories starts at random."""
    own = model.state_dict()
    matching = {key: tensor for key, tensor in state.items() if key not in own or own[key].shape == tensor.shape}
    left = set(model.load_state_dict(matching, strict=False).missing_keys)  # torchvision renames keys of older files here
    needed = [key for key in own if not key.endswith("num_batches_tracked")]
    missing = [key for key in needed if key in left]
    if len(missing) == len(needed):
        raise SynthbenchError(f"weights: {source} has no tensor that fits this backbone; check `backbone`")
    if missing:
        run.note(f"fasterrcnn: {len(missing)} of {len(needed)} tensors are not in {source} or differ in shape: {', '.join(missing)}")


def _open(options: FasterRCNN, run: Run) -> State:
    """The state dict that `weights` names."""
    of_torchvision = options.weights.startswith("torchvision/")
    elsewhere = (is_hub_id(options.weights) and not of_torchvision) or is_address(options.weights)
    if Path(options.weights).exists() or elsewhere:
        return read_weights(find_weights(options.weights, run), run)
    name = options.weights.removeprefix("torchvision/")
    known = {} if options.backbone in OWN else get_model_weights(f"fasterrcnn_{options.backbone}").__members__
    if name not in known:
        raise SynthbenchError(f"weights: {options.weights}: no such file, and no weights of torchvision's{suggest(name, known)}")
    state = read_weights(fetched(known[name].url, run), run)
    if (options.backbone, name) == ("resnet50_fpn", "COCO_V1"):
        # These were trained without BatchNorm's epsilon, so torchvision sets it to 0 when it loads them. Subtracting the
        # default, 1e-5, from the variances has the same effect, and is saved with the weights.
        state.update({key: tensor - 1e-5 for key, tensor in state.items() if key.endswith("running_var")})
    return state
