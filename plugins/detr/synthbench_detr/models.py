"""Models of the four variants: new ones of any size, and those of transformers' checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import transformers
from synthbench import Run, SynthbenchError, split_revision
from transformers import (
    ConditionalDetrConfig,
    ConditionalDetrForObjectDetection,
    ConvNextConfig,
    DeformableDetrConfig,
    DeformableDetrForObjectDetection,
    DetrConfig,
    DetrForObjectDetection,
    RTDetrConfig,
    RTDetrForObjectDetection,
)

if TYPE_CHECKING:
    from synthbench_detr import Detr

CONFIG, WEIGHTS = "config.json", "model.safetensors"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LEVELS = 3


@dataclass(frozen=True)
class Variant:
    """A variant's class and `model_type` in transformers, and how its inputs and outputs differ.

    normalised: images are normalised with ImageNet's mean and standard deviation; otherwise they are in 0..1.
    sigmoid: each category has a score of its own; otherwise a softmax covers all categories and `no object`.
    """

    model: Any
    model_type: str
    normalised: bool = True
    sigmoid: bool = True


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "detr": Variant(DetrForObjectDetection, "detr", sigmoid=False),
        "conditional-detr": Variant(ConditionalDetrForObjectDetection, "conditional_detr"),
        "deformable-detr": Variant(DeformableDetrForObjectDetection, "deformable_detr"),
        "rt-detr": Variant(RTDetrForObjectDetection, "rt_detr", normalised=False),
    }
)


def quiet() -> None:
    """Turns off transformers' progress bars and warnings."""
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def start(options: Detr, categories: tuple[str, ...], run: Run) -> Any:
    """The model that training begins with: from `options.weights`, or new. No parameter is frozen."""
    names = dict(enumerate(categories))
    labels = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    model = load(options.weights, options.variant, run, **labels) if options.weights else build(options, labels)
    # transformers freezes all of a ResNet backbone: it looks for layers named `stage.1` to train, and they are named `stages.1`.
    model.requires_grad_(True)
    return model


def load(weights: str | Path, variant: str, run: Run, **labels: Any) -> Any:
    """A checkpoint's model in float32; if the number of `labels` differs from its own, the class head starts at random.

    Raises SynthbenchError if a file is missing, is a pickle that may not be opened, or belongs to another variant.
    """
    kind, folder = VARIANTS[variant], Path(weights)
    if folder.is_dir() and not (folder / CONFIG).is_file():
        raise SynthbenchError(f"weights: {folder} has no {CONFIG}; name the folder that transformers' save_pretrained wrote")
    if folder.is_file():
        raise SynthbenchError(f"weights: {folder} is a file; name the folder that contains it and its {CONFIG}")
    where = f"weights: {weights}"
    name, revision = split_revision(str(weights))
    try:
        config, _ = transformers.PretrainedConfig.get_config_dict(name, revision=revision, local_files_only=run.offline)
        if config.get("model_type") != kind.model_type:
            actual = {other.model_type: name for name, other in VARIANTS.items()}.get(config.get("model_type", ""))
            fix = f"set variant = '{actual}'" if actual else f"the variants are {', '.join(VARIANTS)}"
            raise SynthbenchError(f"{where} is a model of type {config.get('model_type')!r}, not {variant}; {fix}")
        model, info = kind.model.from_pretrained(
            name,
            revision=revision,
            local_files_only=run.offline,
            use_safetensors=None if run.allow_pickle else True,
            dtype="float32",  # the default is the file's own precision, and float16 cannot be trained
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **labels,
        )
    except ImportError as error:
        raise SynthbenchError(f"{where} needs a library that is not installed: {' '.join(str(error).split())}") from error
    except (OSError, ValueError) as error:
        raise SynthbenchError(
            f"{where}: no {CONFIG} with {WEIGHTS} there or in the hub's cache. Download it first (`hf download {name}`); "
            f"a checkpoint that consists of pickles needs --allow-pickle. ({' '.join(str(error).split())})"
        ) from error
    missing = sorted({key[0] if isinstance(key, tuple) else key for part in ("missing_keys", "mismatched_keys") for key in info[part]})
    if missing:
        run.log(f"these tensors start at random: {', '.join(missing)}")
    return model


def build(options: Detr, labels: Mapping[str, Any]) -> Any:
    """A new model with a small ConvNeXt as its backbone, which has no batch normalisation that transformers would freeze."""
    width, several = options.width, options.variant in ("deformable-detr", "rt-detr")
    first = {8: 2, 16: 3, 32: 4}[options.stride]
    last = first + LEVELS - 1 if several else first
    backbone = ConvNextConfig(
        patch_size=4,
        num_stages=last,
        hidden_sizes=[width // 2] + [width] * (last - 1),
        depths=[2] * last,
        layer_scale_init_value=0.0,  # layer scale helps deep networks; shallow ones learn more slowly with it
        out_features=[f"stage{number}" for number in range(first, last + 1)],
    )
    common: dict[str, Any] = {
        "backbone_config": backbone,
        "d_model": width,
        "num_queries": options.queries,
        "encoder_layers": options.layers,
        "decoder_layers": options.layers,
        "encoder_attention_heads": width // 16,
        "decoder_attention_heads": width // 16,
        "encoder_ffn_dim": 2 * width,
        "decoder_ffn_dim": 2 * width,
        "dropout": 0.0,
        "auxiliary_loss": True,
        **labels,
    }
    if options.variant == "rt-detr":
        special: dict[str, Any] = {
            "encoder_layers": 1,
            "encoder_hidden_dim": width,
            "encoder_in_channels": [width] * LEVELS,
            "decoder_in_channels": [width] * LEVELS,
            "feat_strides": [options.stride * 2**level for level in range(LEVELS)],
            "num_feature_levels": LEVELS,
            "encode_proj_layers": [LEVELS - 1],
            "freeze_backbone_batch_norms": False,
        }
        return RTDetrForObjectDetection(RTDetrConfig(**common | special))
    common["use_timm_backbone"] = False
    if options.variant == "deformable-detr":
        return DeformableDetrForObjectDetection(DeformableDetrConfig(**common, num_feature_levels=LEVELS, with_box_refine=True))
    if options.variant == "conditional-detr":
        return ConditionalDetrForObjectDetection(ConditionalDetrConfig(**common))
    return DetrForObjectDetection(DetrConfig(**common))
