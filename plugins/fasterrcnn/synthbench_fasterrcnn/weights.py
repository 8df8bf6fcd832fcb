"""What training starts from: random numbers, ImageNet, or a whole detector's weights. Nothing is downloaded unasked."""

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
"""How many of a pretrained backbone's first modules stay as they are; torchvision's default of three trainable layers
for its own, strides 2 and 4 for EfficientNet-Lite0."""


def start(options: FasterRCNN, categories: tuple[str, ...], anchor_sizes: tuple[float, ...], run: Run) -> tuple[Spec, nn.Module]:
    """The model to train and its description. Raises SynthbenchError where weights are missing or do not open."""
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
            held = read_weights(fetched(get_model_weights(network)["IMAGENET1K_V1"].url, run), run)
            # The body has mobilenet's layers without the "features." before their names, and no classifier.
            held = {key.removeprefix("features."): tensor for key, tensor in held.items()}
            model.backbone.body.load_state_dict({key: held[key] for key in model.backbone.body.state_dict()})
        _freeze_norms(model.backbone.body)
    if options.weights or imagenet:
        for module in list(model.backbone.body.children())[: FROZEN.get(name, 0)]:
            module.requires_grad_(False)
    return spec, model


def _freeze_norms(module: nn.Module) -> None:
    """Marks BatchNorms as constants: the statistics of a few images are worse than those learned from many."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.requires_grad_(False)


def _fill(model: nn.Module, held: State, source: str, run: Run) -> None:
    """Copies what fits, and says what does not: a head for other categories starts at random."""
    wanted = model.state_dict()
    fitting = {key: tensor for key, tensor in held.items() if key not in wanted or wanted[key].shape == tensor.shape}
    left = set(model.load_state_dict(fitting, strict=False).missing_keys)  # torchvision renames keys of older files here
    needed = [key for key in wanted if not key.endswith("num_batches_tracked")]
    missing = [key for key in needed if key in left]
    if len(missing) == len(needed):
        raise SynthbenchError(f"weights: {source} holds nothing that fits this backbone; is it of another one?")
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
    held = read_weights(fetched(known[name].url, run), run)
    if (options.backbone, name) == ("resnet50_fpn", "COCO_V1"):
        # Trained without BatchNorm's epsilon, of 1e-5, which torchvision takes away when it loads them; so do we.
        held.update({key: tensor - 1e-5 for key, tensor in held.items() if key.endswith("running_var")})
    return held
