"""Small detectors that a CPU can train from scratch: configs of mmdet with overrides."""

from __future__ import annotations

from dataclasses import dataclass

from synthbench_mmdet.overrides import Overrides


@dataclass(frozen=True)
class Preset:
    """A config of mmdet's zoo, and overrides as in a suite; the suite's own are applied after these."""

    config: str
    overrides: Overrides


_RESNET = {"model.backbone.depth": 18, "model.backbone.base_channels": 16}
_ATTENTION = {"embed_dims": 64, "num_heads": 4, "dropout": 0.0, "batch_first": True}
_DEFORMABLE = {**_ATTENTION, "num_levels": 3}
_FORWARD = {"embed_dims": 64, "feedforward_channels": 128, "ffn_drop": 0.0}

PRESETS = {
    "small-faster-rcnn": Preset(
        "faster-rcnn_r50_fpn_1x_coco",
        {
            **_RESNET,
            "model.neck.in_channels": [16, 32, 64, 128],
            "model.neck.out_channels": 64,
            "model.rpn_head.in_channels": 64,
            "model.rpn_head.feat_channels": 64,
            "model.rpn_head.anchor_generator.scales": [3, 4.5],
            "model.roi_head.bbox_roi_extractor.out_channels": 64,
            "model.roi_head.bbox_roi_extractor.finest_scale": 28,
            "model.roi_head.bbox_head.in_channels": 64,
            "model.roi_head.bbox_head.fc_out_channels": 128,
            "model.train_cfg.rpn.sampler.num": 64,
            "model.train_cfg.rpn_proposal.nms_pre": 400,
            "model.train_cfg.rpn_proposal.max_per_img": 100,
            "model.train_cfg.rcnn.sampler.num": 64,
            "model.test_cfg.rpn.nms_pre": 400,
            "model.test_cfg.rpn.max_per_img": 150,
            "optim_wrapper.optimizer": {"type": "AdamW", "lr": 2e-3, "weight_decay": 1e-4},
            "optim_wrapper.clip_grad": {"max_norm": 5.0},
        },
    ),
    "small-deformable-detr": Preset(
        "deformable-detr-refine_r50_16xb2-50e_coco",
        {
            **_RESNET,
            "model.backbone.strides": [1, 2, 2, 2],
            "model.num_queries": 40,
            "model.num_feature_levels": 3,
            "model.neck.in_channels": [32, 64, 128],
            "model.neck.out_channels": 64,
            "model.neck.norm_cfg.num_groups": 8,
            "model.neck.num_outs": 3,
            "model.encoder.num_layers": 2,
            "model.encoder.layer_cfg.self_attn_cfg": _DEFORMABLE,
            "model.encoder.layer_cfg.ffn_cfg": _FORWARD,
            "model.decoder.num_layers": 2,
            "model.decoder.layer_cfg.self_attn_cfg": _ATTENTION,
            "model.decoder.layer_cfg.cross_attn_cfg": _DEFORMABLE,
            "model.decoder.layer_cfg.ffn_cfg": _FORWARD,
            "model.positional_encoding.num_feats": 32,
            "model.bbox_head.embed_dims": 64,
            "optim_wrapper.optimizer": {"type": "AdamW", "lr": 2e-3, "weight_decay": 1e-4},
            "optim_wrapper.clip_grad.max_norm": 1.0,
            "optim_wrapper.paramwise_cfg": {"custom_keys": {"sampling_offsets": {"lr_mult": 0.1}, "reference_points": {"lr_mult": 0.1}}},
        },
    ),
}
