"""Small checkpoints with random weights, of the classes that the real ones have: for tests. What they find means nothing."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    BertConfig,
    BertTokenizer,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2ImageProcessor,
    Sam2MaskDecoderConfig,
    Sam2Model,
    Sam2Processor,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
    SwinConfig,
)

Kind = Literal["grounding-dino", "mm-grounding-dino", "owlv2", "sam2"]
BERT_IDS = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}
"""Of BERT's vocabulary: transformers' Grounding DINO takes these numbers as known."""
SIDE = 64


def write_checkpoint(kind: Kind, folder: Path, seed: int = 0) -> Path:
    """Writes a model and its processor as `save_pretrained` does, below 2 MB, and returns the folder. LLMDet is a `mm-grounding-dino`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model, processor = _grounding(kind, folder) if kind.endswith("grounding-dino") else _owlv2(folder) if kind == "owlv2" else _sam2()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _grounding(kind: str, folder: Path) -> tuple[Any, Any]:
    config, model = {
        "grounding-dino": (GroundingDinoConfig, GroundingDinoForObjectDetection),
        "mm-grounding-dino": (MMGroundingDinoConfig, MMGroundingDinoForObjectDetection),
    }[kind]
    swin = SwinConfig(image_size=SIDE, patch_size=8, embed_dim=16, depths=[1, 1], num_heads=[1, 2], window_size=4, out_indices=[1, 2])
    bert = BertConfig(
        vocab_size=1100, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, max_position_embeddings=64
    )
    made = config(
        backbone_config=swin,
        text_config=bert,
        num_queries=20,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        d_model=32,
        num_feature_levels=2,
        max_text_len=64,
        dropout=0.0,
        fusion_droppath=0.0,
    )
    vocabulary = [f"[unused{number}]" for number in range(bert.vocab_size)]
    for word, number in BERT_IDS.items():
        vocabulary[number] = word
    for number, letter in enumerate(string.ascii_lowercase + string.digits + "-'"):
        vocabulary[200 + number], vocabulary[300 + number] = letter, f"##{letter}"
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    images = GroundingDinoImageProcessor(size={"shortest_edge": SIDE, "longest_edge": 2 * SIDE})
    return model(made), GroundingDinoProcessor(images, BertTokenizer.from_pretrained(folder))


def _owlv2(folder: Path) -> tuple[Any, Any]:
    letters = [chr(number) for number in range(33, 127)]
    # Prompts whose first token is 0 are masked as padding, so that it must not be the start of all texts.
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    shared = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**shared, "vocab_size": len(words), "max_position_embeddings": 16, "pad_token_id": 0}
    text |= {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1}
    config = Owlv2Config(text_config=text, vision_config={**shared, "image_size": SIDE, "patch_size": 16}, projection_dim=32)
    tokenizer = CLIPTokenizer.from_pretrained(folder, pad_token="!", model_max_length=16)
    model = Owlv2ForObjectDetection(config)
    with torch.no_grad():  # as they begin, boxes have no area, and scores are 0 or 1
        for head in (model.box_head, model.class_head):
            for weight in head.parameters():
                weight.mul_(0.05)
    return model, Owlv2Processor(Owlv2ImageProcessor(size={"height": SIDE, "width": SIDE}), tokenizer)


def _sam2() -> tuple[Any, Any]:
    widths = [8, 16, 32, 64]
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 2],
        global_attention_blocks=[3],  # not the first of a stage, which pools
    )
    sizes = [[SIDE // step] * 2 for step in (4, 8, 16)]
    vision = Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=widths[::-1], backbone_feature_sizes=sizes, fpn_hidden_size=32
    )
    config = Sam2Config(
        vision_config=vision,
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=32, image_size=SIDE, patch_size=16, mask_input_channels=4),
        mask_decoder_config=Sam2MaskDecoderConfig(hidden_size=32, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32),
    )
    size = {"height": SIDE, "width": SIDE}
    return Sam2Model(config), Sam2Processor(Sam2ImageProcessor(size=size, mask_size={"height": SIDE // 4, "width": SIDE // 4}))
