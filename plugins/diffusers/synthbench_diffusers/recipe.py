"""The options that all generators have. This module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import Weights, option

from synthbench_diffusers.classes import problems

if TYPE_CHECKING:
    from synthbench import ImageSet, Run

Count = Annotated[int, Meta(ge=1)]
Factor = Annotated[float, Meta(ge=0)]
RENAMED_OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "checkpoint": "pretrained_model_name_or_path",
        "steps": "max_train_steps",
        "schedule": "lr_scheduler",
        "batch": "batch_size",
        "accumulation": "gradient_accumulation_steps",
        "crop": "center_crop",
        "flip": "random_flip",
        "min_snr_gamma": "snr_gamma",
        "prior_preservation": "with_prior_preservation",
        "class_images": "num_class_images",
        "prior_weight": "prior_loss_weight",
        "precision": "mixed_precision",
        "adam_8bit": "use_8bit_adam",
        "checkpoint_every": "checkpointing_steps",
        "sampler_steps": "num_inference_steps",
        "guidance": "guidance_scale",
        "sampling_batch": "sample_batch_size",
        "box_area": "min_box_area",
    }
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Fine-tuning of a Stable Diffusion checkpoint on the references, and how to sample from it.

    Options have the names of diffusers' training scripts and pipelines where those have the same option. The defaults
    are those of the scripts and their README at full size, unless the option says otherwise. Options marked
    `stage="sample"` do not affect `fit`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 2
    license: ClassVar[str] = "Apache-2.0"
    pipeline: ClassVar[str]
    """The diffusers class that the checkpoint must be saved from."""
    pipeline_guidance: ClassVar[float] = 7.5
    """The guidance scale that this pipeline has by default; class images are sampled with it."""
    interpolation: ClassVar[Literal["bilinear", "lanczos"]] = "bilinear"
    """How references are resized."""
    weight_decay: ClassVar[tuple[float, float]] = (1e-2, 1e-2)
    """AdamW's weight decay for the UNet and for the text encoders."""

    loading_options: ClassVar[tuple[str, ...]] = ("pretrained_model_name_or_path", "variant", "mixed_precision", "train_text_encoder")
    """Options that decide which weights a fit starts from, and in which dtype."""

    pretrained_model_name_or_path: Weights
    """The checkpoint: the name of a shipped one, a folder in diffusers' layout, or a hub id."""
    variant: str = ""
    """Read files of this variant, such as `fp16`: half the download, if the checkpoint has them."""
    instance_prompt: str = "a photo of sks apples on a tree"
    """The prompt for the references: a rare token and the class. `{classes}` in it stands for the classes that a reference shows."""
    class_words: dict[str, str] = option({}, added=True)
    """What prompts call each category of the data, by the category's name. Default: as the data do."""
    max_train_steps: Annotated[int, Meta(ge=0)] | None = None
    """Optimizer steps. Default: 400 for full weights, 800 for full weights with prior preservation, 500 for LoRA.
    0: sample from the checkpoint as it is, the baseline without fine-tuning."""
    learning_rate: Annotated[float, Meta(gt=0)] | None = None
    """Default: 5e-6 for full weights, 1e-4 for LoRA."""
    text_encoder_lr: Annotated[float, Meta(gt=0)] | None = None
    """Learning rate of the text encoders, if they are trained. Default: 5e-6 for SDXL's LoRA, otherwise `learning_rate`."""
    lr_scheduler: Literal["constant", "cosine"] = "constant"
    """How the learning rate changes: not at all, or along half a cosine down to 0. There is no warm-up."""
    batch_size: Count = 1
    """References in one forward pass. With prior preservation, as many class images are added."""
    gradient_accumulation_steps: Count = 1
    """Forward passes in one optimizer step."""
    resolution: Annotated[int, Meta(ge=8)] = 512
    """Side of the square training images in pixels."""
    center_crop: bool = False
    """Crop the centre of each resized image instead of a random part."""
    random_flip: bool = False
    """Flip images horizontally with probability 0.5."""
    rank: Count = 4
    """Rank of the LoRA matrices; their alpha is the same."""
    train_text_encoder: bool = False
    """Train the text encoders too."""
    snr_gamma: Annotated[float, Meta(gt=0)] | None = None
    """Gamma of the Min-SNR weights of the references' loss (arXiv 2303.09556); 5 is usual. Default: no weights. For
    v-prediction the paper's weights are used, min(SNR, gamma) / (SNR + 1), where the scripts use min(SNR, gamma) / SNR + 1."""
    with_prior_preservation: bool = False
    """Train on images of the class too, so that the model does not forget it. The unchanged checkpoint samples them."""
    class_prompt: str = "a photo of apples on a tree"
    """The prompt that class images are sampled with."""
    num_class_images: Count = 200
    """How many class images are sampled, once for all fits of the same checkpoint, size, prompt and seed: by DPM-Solver++ in 20
    steps, where the scripts take 50 steps of the pipeline's scheduler, which costs two and a half times as much."""
    prior_loss_weight: Factor = 1.0
    """Weight of the class images' loss."""
    mixed_precision: Literal["auto", "no", "fp16", "bf16"] = "auto"
    """Dtype of forward passes and of frozen weights; "no" is fp32. Weights are trained in fp32. On a CPU, fp16 runs as fp32.
    Default: on CUDA bf16 where the GPU has it, else fp16; bf16 on CPUs with AMX or AVX512-BF16; fp32 elsewhere. The report says
    which. On CUDA, fp32 uses TF32."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    use_8bit_adam: bool = False
    """Keep AdamW's state in 8 bits; needs bitsandbytes and a CUDA device."""
    checkpointing_steps: Annotated[int, Meta(ge=0)] | None = None
    """Steps between two saved states, from which an interrupted fit resumes. 0: save none. Default: a state every ten minutes."""

    prompts: tuple[str, ...] = option((), stage="sample")
    """The prompts to sample with: each image uses one, chosen by the seed and the image's number. Default: `instance_prompt`.
    `{classes}` in one stands for the classes that the image is to show."""
    negative_prompt: str = option("", stage="sample")
    """The prompt that classifier-free guidance leads away from."""
    scheduler: Literal["ddim", "dpm++", "euler", "euler-trailing", "lcm"] = option("dpm++", stage="sample")
    """diffusers' DDIMScheduler, DPMSolverMultistepScheduler or EulerDiscreteScheduler; for distilled checkpoints that need few
    steps, EulerDiscreteScheduler with trailing timesteps (Lightning, Turbo) or LCMScheduler, which adds noise at each step."""
    num_inference_steps: Annotated[int, Meta(ge=1)] = option(20, stage="sample")
    """Denoising steps for each image. 20 steps of DPM-Solver++ are about as good as the 50 that diffusers' pipelines take."""
    guidance_scale: float = option(7.5, stage="sample")
    """Scale of classifier-free guidance; 1 or less turns it off."""
    sample_batch_size: Annotated[int, Meta(ge=1)] = option(4, stage="sample")
    """Images sampled at once. Images are always sampled in whole batches, so they are the same whichever of them are asked for."""
    torch_compile: bool = option(False, stage="sample")
    """Compile the UNet's repeated blocks with torch.compile: worth its minute of compiling for hundreds of images on a GPU."""
    sampling_resolution: Annotated[int, Meta(ge=8)] | None = option(None, stage="sample")
    """Side of the square sampled images in pixels. Default: `resolution`."""

    def __post_init__(self) -> None:
        if not self.pretrained_model_name_or_path:
            raise ValueError("pretrained_model_name_or_path: empty; set it to a shipped checkpoint's name, a folder or a hub id")
        if found := problems(self, self.sampled_prompts):
            raise ValueError("; ".join(found))

    @property
    def full(self) -> bool:
        """Whether full weights are trained; otherwise LoRA matrices are."""
        return False

    @property
    def separate_vae(self) -> str:
        """The folder or hub id of another VAE; empty: the checkpoint's own VAE is used."""
        return ""

    @property
    def total_steps(self) -> int:
        """`max_train_steps`, or its default."""
        if self.max_train_steps is not None:
            return self.max_train_steps
        return 500 if not self.full else 800 if self.with_prior_preservation else 400

    @property
    def rate(self) -> float:
        """`learning_rate`, or its default."""
        return self.learning_rate or (5e-6 if self.full else 1e-4)

    @property
    def text_encoder_rate(self) -> float:
        """`text_encoder_lr`, or its default."""
        return self.text_encoder_lr or self.rate

    @property
    def sampled_prompts(self) -> tuple[str, ...]:
        """`prompts`, or their default."""
        return self.prompts or (self.instance_prompt,)

    @property
    def side(self) -> int:
        """Side of the sampled images in pixels."""
        return self.sampling_resolution or self.resolution

    def fit(self, references: ImageSet, run: Run) -> None:
        """Fine-tunes on the references' pixels. Of their boxes, the classes are used if `instance_prompt` has `{classes}`."""
        from synthbench_diffusers.training import fit

        fit(self, references, run)
