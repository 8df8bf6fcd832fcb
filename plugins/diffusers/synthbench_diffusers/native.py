"""Recipes whose images come with boxes from the attention to a word. This module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import option

from synthbench_diffusers.classes import PLACEHOLDER, check_boxes, is_in, words_of
from synthbench_diffusers.recipe import RENAMED_OPTIONS, Recipe

if TYPE_CHECKING:
    from synthbench import Boxes, ImageSet, Run, Sample, SampleRequest


@dataclass(frozen=True, kw_only=True)
class NativeBoxes(Recipe):
    """A recipe that locates the objects in its images, and in others, by the UNet's cross-attention to the word of each class."""

    renamed_options: ClassVar[Mapping[str, str]] = RENAMED_OPTIONS

    boxes: bool = option(True, stage="sample")
    """Yield boxes with the images, from the cross-attention maps of `class_word`, or of the words of several classes."""
    class_word: str = option("apples", stage="sample")
    """The word or words of the prompts that name the objects of the only class. Several classes have `class_words`."""
    class_mixture: Literal["references", "single", "all"] = option("references", stage="sample", added=True)
    """Which classes an image's prompt names where it has `{classes}`: those that one of the references shows, in the references'
    proportions; a single one, each as often; or all of them."""
    map_scales: tuple[Annotated[int, Meta(ge=1)], ...] = option((), stage="sample")
    """Use the attention maps of these scales only: latent side over map side, so 1 is the finest. Default: all."""
    map_blocks: tuple[Literal["down", "mid", "up"], ...] = option(("down", "mid", "up"), stage="sample")
    """Use the attention maps of these blocks of the UNet only."""
    map_times: tuple[Annotated[float, Meta(ge=0, le=1)], Annotated[float, Meta(ge=0, le=1)]] = option((0.2, 0.8), stage="sample")
    """Use the attention maps of timesteps in this range only, as shares of all timesteps: 0 is no noise, 1 is pure noise."""
    locate_steps: Annotated[int, Meta(ge=1)] = option(4, stage="sample")
    """Timesteps, spread evenly over `map_times`, at which `locate` reads the attention maps of an image that was not sampled."""
    box_threshold: Annotated[float, Meta(ge=0, le=1)] | Literal["otsu"] = option(0.5, stage="sample")
    """Threshold on an image's attention map, normalized to 0..1; "otsu" chooses one for each image by Otsu's method."""
    min_box_area: Annotated[float, Meta(ge=0, le=1)] = option(0.0003, stage="sample")
    """Area of the smallest region above the threshold that makes a box, as a share of the image's area."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.map_times[0] >= self.map_times[1]:
            raise ValueError(f"map_times: {self.map_times[0]} is not smaller than {self.map_times[1]}, so the range has no timestep")
        if self.boxes and not self.map_blocks:
            raise ValueError('map_blocks: empty, so there is no attention map to make boxes of; name "down", "mid" or "up"')
        placed = [PLACEHOLDER in prompt for prompt in self.sampled_prompts]
        if self.class_mixture != "references" and not any(placed):
            raise ValueError(f"class_mixture: no prompt has {PLACEHOLDER}, so it would do nothing")
        if self.class_mixture == "references" and any(placed) and PLACEHOLDER not in self.instance_prompt:
            raise ValueError(
                f"class_mixture: which classes each reference shows is learnt where instance_prompt has {PLACEHOLDER}; write it there too, "
                'or set class_mixture = "single" or "all"'
            )
        if self.by_class or not self.boxes:
            return
        without = [prompt for prompt in self.sampled_prompts if not is_in(self.class_word, prompt)]
        if without or not self.class_word:
            raise ValueError(
                f"class_word: boxes come from the attention to {self.class_word!r}, which is not a word of the prompt "
                f"{self.sampled_prompts[0] if not without else without[0]!r}; change one of them (several classes have "
                f"class_words or {PLACEHOLDER}), or set boxes = false if no row has the annotator 'native'"
            )

    @property
    def by_class(self) -> bool:
        """Whether prompts call classes by `class_words`, or by their names, and not the only one by `class_word`."""
        return bool(self.class_words) or any(PLACEHOLDER in prompt for prompt in (self.instance_prompt, *self.sampled_prompts))

    def words(self, categories: Sequence[str]) -> tuple[str, ...]:
        """The word of each category. Raises SynthbenchError if `class_words` has a category that the data have not."""
        return words_of(self, categories) if self.by_class or len(categories) > 1 else (self.class_word,)

    def check_boxes(self, categories: tuple[str, ...]) -> None:
        """Raises SynthbenchError, before anything is fitted, if no boxes of these categories can come with the images."""
        check_boxes(self, categories)

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        """Samples images, with boxes of the classes that their prompts name if `boxes` is set."""
        from synthbench_diffusers.locating import sample

        return sample(self, fitted, request, run)

    def locate(self, fitted: Path, images: ImageSet, run: Run) -> Iterator[Boxes]:
        """Boxes from the cross-attention maps of the fitted model while it denoises these images."""
        from synthbench_diffusers.locating import locate

        return locate(self, fitted, images, run)
