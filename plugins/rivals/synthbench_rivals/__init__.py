"""Generators without a generative model: what the row of a diffusion model has to beat.

Each uses the references alone, needs no weights and no network, and knows the boxes of its images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from synthbench import ImageSet, Run, Sample, SampleRequest, SynthbenchError, hookimpl, option

if TYPE_CHECKING:
    from synthbench import Generator

Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
Degrees = Annotated[float, Meta(ge=-180, le=180)]


@dataclass(frozen=True, kw_only=True)
class CopyPaste:
    """Objects of the references, cut out and pasted onto references and onto references without their objects.

    Dwibedi et al. 2017, "Cut, Paste and Learn" (arXiv 1708.01642): objects in new places, with a way of blending chosen at
    random, so that a detector cannot learn the traces of one. Ghiasi et al. 2021, "Simple Copy-Paste" (arXiv 2012.07177):
    a random part of an image's objects pasted onto another labelled image.

    An image has one of the references as its background, all equally often. Number, relative size and place of what is
    pasted follow the references' boxes. No object is hidden more than `max_occlusion`: a place where an object would be, or
    would hide another one so, is not used. The box of a partly hidden object is that of its visible part. Crowds stay as they
    are: they are not cut out, nothing is pasted on them, and they are not removed from backgrounds.
    """

    name: ClassVar[str] = "copy-paste"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    rival: ClassVar[bool] = True

    smoke_options: ClassVar[Mapping[str, object]] = {"max_occlusion": 0.0}  # squares that overlap could not be told apart

    masks: Literal["grabcut", "ellipse", "box"] = "grabcut"
    """How objects are cut out of their boxes. `grabcut`: OpenCV's GrabCut (Rother et al. 2004), and the ellipse in the box where
    it finds nothing that fills the box."""

    blending: Literal["mixed", "gaussian", "poisson", "none"] = option("mixed", stage="sample")
    """How the edges of pasted objects are made: a soft edge, Poisson blending (Perez et al. 2003), a hard edge, or one of these
    chosen at random for each object."""
    emptied_share: Share = option(0.5, stage="sample")
    """Probability that the background is a reference whose objects were removed; otherwise they stay, with their boxes."""
    placement: Literal["references", "anywhere"] = option("references", stage="sample")
    """Where objects are pasted: around the places of the references' boxes, or anywhere in the image."""
    scale_range: tuple[Positive, Positive] = option((0.8, 1.25), stage="sample")
    """Factors of an object's size, relative to its image."""
    rotation_range: tuple[Degrees, Degrees] = option((-15.0, 15.0), stage="sample")
    """Degrees."""
    brightness_range: tuple[Positive, Positive] = option((0.8, 1.2), stage="sample")
    """Factors of an object's brightness."""
    contrast_range: tuple[Positive, Positive] = option((0.85, 1.15), stage="sample")
    """Factors of an object's contrast."""
    horizontal_flip: Share = option(0.5, stage="sample")
    """Probability that a background is mirrored left to right, and the same for each pasted object."""
    max_occlusion: Annotated[float, Meta(ge=0, lt=1)] = option(0.3, stage="sample")
    """Largest share of an object that later objects and the image's edge may hide together."""

    def __post_init__(self) -> None:
        """Raises SynthbenchError for a range that ends below its start."""
        for name in ("scale_range", "rotation_range", "brightness_range", "contrast_range"):
            low, high = getattr(self, name)
            if low > high:
                raise SynthbenchError(f"{name}: {low:g} is above {high:g}; write the smaller number first, [{high:g}, {low:g}]")

    def fit(self, references: ImageSet, run: Run) -> None:
        """Writes the references, the masks of their objects, and the references without their objects to `run.workdir`.

        Logs the number of objects as `objects`, and of those among them that GrabCut found no mask for as `ellipses`.
        Raises SynthbenchError if a reference is not labelled, or there is not one object.
        """
        from synthbench_rivals.cutting import cut_references

        cut_references(self, references, run)

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        """Yields images of the size of their background, with boxes in pixels. Image i depends on (seed, i) alone."""
        from synthbench_rivals.pasting import paste_objects

        return paste_objects(self, fitted, request, run)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """The references, all equally often, each time cropped, rotated, mirrored, and changed in colour and sharpness at random.

    Boxes are clipped to the image. An object of which less than `min_visible` is left loses its box; up to ten crops are
    tried to find one without such an object.
    """

    name: ClassVar[str] = "augment"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    rival: ClassVar[bool] = True

    min_scale: Annotated[float, Meta(gt=0, le=1)] = option(0.3, stage="sample")
    """Smallest share of the image's area in a crop, which is then resized to the size of the reference."""
    aspect_jitter: Annotated[float, Meta(ge=1)] = option(1.2, stage="sample")
    """Largest factor by which the aspect ratio of a crop differs from the image's."""
    rotation: Annotated[float, Meta(ge=0, le=45)] = option(10.0, stage="sample")
    """Degrees, to either side. The corners that a rotation leaves empty are cropped away."""
    rotated_boxes: Literal["ellipse", "corners"] = option("ellipse", stage="sample")
    """The box of a rotated object: around the ellipse in the original box, which is exact for round objects, or around the
    box's four corners, which is never too small. As in albumentations' `rotate_method`."""
    horizontal_flip: Share = option(0.5, stage="sample")
    """Probability that an image is mirrored left to right."""
    brightness: Share = option(0.4, stage="sample")
    """Brightness is multiplied by a factor between 1 - `brightness` and 1 + `brightness`, as in torchvision's ColorJitter."""
    contrast: Share = option(0.4, stage="sample")
    """Contrast, in the same way."""
    saturation: Share = option(0.4, stage="sample")
    """Saturation, in the same way."""
    hue: Annotated[float, Meta(ge=0, le=0.5)] = option(0.03, stage="sample")
    """Largest shift of the hue, as a share of the colour circle."""
    blur: Share = option(0.3, stage="sample")
    """Probability of a Gaussian blur."""
    blur_sigma: Positive = option(1.2, stage="sample")
    """Its largest standard deviation in pixels; the smallest is 0.1."""
    min_visible: Share = option(0.25, stage="sample")
    """Boxes of which a smaller share of the area is in the image are dropped, as with albumentations' `min_visibility`."""

    def fit(self, references: ImageSet, run: Run) -> None:
        """Writes the references to `run.workdir`. Raises SynthbenchError if one of them is not labelled."""
        from synthbench_rivals.references import require_labels, store_references

        require_labels(references, self.name)
        store_references(references, run)

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        """Yields images of the size of their reference, with boxes in pixels. Image i depends on (seed, i) alone."""
        from synthbench_rivals.augmenting import augment_references

        return augment_references(self, fitted, request, run)


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """The references unchanged, all equally often, in a random order: what more training steps alone change."""

    name: ClassVar[str] = "repeat"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    rival: ClassVar[bool] = True

    def fit(self, references: ImageSet, run: Run) -> None:
        """Writes the references' files, byte for byte, and their boxes to `run.workdir`."""
        from synthbench_rivals.references import store_references

        store_references(references, run)

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        """Yields the references' files with their boxes, or None for those that nobody labelled."""
        from synthbench_rivals.references import load_references, reference_of

        references = load_references(fitted)
        for number in run.track(range(request.start, request.stop), "sample", unit="images"):
            which = reference_of(number, len(references), run.seed)
            yield Sample(references[which].path, references[which].boxes, {"reference": which})


@hookimpl
def synthbench_generators() -> Sequence[type[Generator]]:
    """The three generators."""
    return (CopyPaste, Augment, Repeat)
