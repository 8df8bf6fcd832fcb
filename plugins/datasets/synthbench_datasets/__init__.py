"""Public data sets that are fetched under `--download`, and the generated images that people labelled for the paper.

Addresses, sizes and checksums come from the publishers' pages as they were known when this was written; see README.md for what could
be checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta
from synthbench import CocoFolder, Run, Sample, SampleRequest, Splits, hookimpl

if TYPE_CHECKING:
    from synthbench import DataSource, Generator, ImageSet, Remote

Side = Annotated[int, Meta(ge=0)]


@dataclass(frozen=True, kw_only=True)
class AppleBBCH81:
    """320 photographs of apple trees with ripe apples, 200 to train and 120 to test, no tree in both (S. Kodors et al. 2024).

    They are crops of 640x640 pixels from 134 photographs; the crops of one tree are a group.
    """

    name: ClassVar[str] = "applebbch81"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"

    path: Path | None = None
    """A folder of your own with these photographs as COCO (`images/`, `train.json`, `test.json`). By default they are fetched."""
    resize: Side = 0
    """The longest side of every image after resizing, in pixels; 0 for no resizing."""

    @property
    def remote(self) -> Remote | None:
        """The photographs and label files, one by one: the repository has more than these."""
        from synthbench_datasets import applebbch81

        return None if self.path else applebbch81.remote()

    def inputs(self) -> Iterator[Path]:
        """The files in `path`. Raises SynthbenchError if these are other photographs."""
        from synthbench_datasets import applebbch81

        if self.path:
            applebbch81.check_names(self.path)
            yield from CocoFolder(path=self.path).inputs()

    def load(self, run: Run) -> Splits:
        """The photographs, split by orchard row. Raises SynthbenchError if they cannot be fetched or are others."""
        from synthbench_datasets import applebbch81

        return applebbch81.load(self, run)


@dataclass(frozen=True, kw_only=True)
class MinneApple:
    """670 photographs of apple trees to train on, and 331 to test on, from another year (Häni, Roy, Isler 2019).

    Photographs are frames of videos, 720x1280 pixels; the frames of one video are a group.
    """

    name: ClassVar[str] = "minneapple"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"

    path: Path | None = None
    """A folder of your own with these photographs as COCO (`images/`, `train.json`, `test.json`). By default they are fetched."""
    resize: Side = 0
    """The longest side of every image after resizing, in pixels; 0 for no resizing."""
    tile: Side = 0
    """The side of the square tiles into which images are cut before resizing, in pixels; 0 for no tiles."""
    tile_overlap: Annotated[float, Meta(ge=0, le=0.9)] = 0.0
    """The least overlap of neighbouring tiles, as a share of their side."""
    test_videos: tuple[str, ...] = ()
    """Videos of the training photographs to test on in place of the 331 test photographs, whose archive is not needed then."""

    @property
    def remote(self) -> Remote | None:
        """The archives."""
        from synthbench_datasets import minneapple

        return minneapple.source(self)

    def inputs(self) -> Iterator[Path]:
        """The files in `path`."""
        if self.path:
            yield from CocoFolder(path=self.path).inputs()

    def load(self, run: Run) -> Splits:
        """The photographs. Raises SynthbenchError if they cannot be fetched, or an archive is not as it is known."""
        from synthbench_datasets import minneapple

        return minneapple.load(self, run)


@dataclass(frozen=True, kw_only=True)
class VoetmanData:
    """The paper's 535 generated images with boxes by people as real data: how well do annotators label generated images?

    Every fifth image is a test image. The figures say nothing of photographs.
    """

    name: ClassVar[str] = "voetman-generated"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"

    path: Path | None = None
    """A folder of your own with these images as COCO (`images/`, `train.json`, `test.json`). By default they are fetched."""
    resize: Side = 0
    """The longest side of every image after resizing, in pixels; 0 for no resizing."""

    @property
    def remote(self) -> Remote | None:
        """The images and label files."""
        from synthbench_datasets import voetman

        return None if self.path else voetman.remote()

    def inputs(self) -> Iterator[Path]:
        """The files in `path`."""
        if self.path:
            yield from CocoFolder(path=self.path).inputs()

    def load(self, run: Run) -> Splits:
        """The images in two splits. Raises SynthbenchError if they cannot be fetched."""
        from synthbench_datasets import voetman

        return voetman.load(self, run)


@dataclass(frozen=True, kw_only=True)
class VoetmanImages:
    """The paper's 535 generated images with the boxes that people drew, as a generator: with `native`, the paper's own training set.

    They were made by a Stable Diffusion fine-tuned on 20 photographs of MinneApple; the references of the suite are not used.
    """

    name: ClassVar[str] = "voetman-generated"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    uses_references: ClassVar[bool] = False

    path: Path | None = None
    """A folder of your own with these images as COCO (`images/`, `train.json`, `test.json`). By default they are fetched."""

    @property
    def remote(self) -> Remote | None:
        """The images and label files."""
        from synthbench_datasets import voetman

        return None if self.path else voetman.remote()

    def inputs(self) -> Iterator[Path]:
        """The files in `path`."""
        if self.path:
            yield from CocoFolder(path=self.path).inputs()

    def fit(self, references: ImageSet, run: Run) -> None:
        """Fetches the images. Raises SynthbenchError if they cannot be fetched."""
        from synthbench_datasets import voetman

        del references
        voetman.fit(self, run)

    def sample(self, fitted: Path, request: SampleRequest, run: Run) -> Iterator[Sample]:
        """Yields images in an order that the seed decides. Raises SynthbenchError if more are asked for than there are."""
        from synthbench_datasets import voetman

        del fitted
        return voetman.sample(self, request, run)


@hookimpl
def synthbench_data_sources() -> Sequence[type[DataSource]]:
    """The data sources of this distribution."""
    return (AppleBBCH81, MinneApple, VoetmanData)


@hookimpl
def synthbench_generators() -> Sequence[type[Generator]]:
    """The generator of this distribution."""
    return (VoetmanImages,)
