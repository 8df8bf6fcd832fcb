"""Checks of generators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthbench.testing.bench import Bench, Views, key_of
from synthbench.testing.checks import Failure, Skip
from synthbench.testing.subject import Answer, Subject, difference, of_boxes, of_images

COUNT = 3


class Generators(Subject):
    """Generators fit, always with the same seed, and sample."""

    stage = "fit"

    def views(self, bench: Bench, data: str) -> Views:
        """The references."""
        return {"references": [bench.pictures(data)]}

    def use(self, bench: Bench, folder: Path, data: str, seed: int, options: Mapping[str, object] | None = None) -> Answer:
        """The first images of the series."""
        return self.sample(bench, folder, 0, seed, data=data, options=options)

    def sample(
        self, bench: Bench, folder: Path, start: int, seed: int = 0, *, data: str = "", options: Mapping[str, object] | None = None
    ) -> Answer:
        """The images from `start` to the end of the series. data: the references, which have the same categories."""
        from synthbench.storage.coco import read_set

        # Like a suite that needs more images than the store has: the images before `start` are already in the store.
        series = key_of("series", str(len(bench.done)))
        for count in (start, COUNT) if start else (COUNT,):
            parts: dict[str, Any] = {"fitted": str(folder), "parameters": {"count": count}, "series": series}
            done = bench.run("sample", {"like": [bench.pictures(data or self.usual)]}, seed=seed, options=options, **parts)
        return of_images(read_set(done.folder)[start:])


GENERATORS = Generators()


def uses_references(bench: Bench) -> bool:
    """Whether the generator's images are said to depend on the references."""
    return bool(getattr(bench.found.cls, "uses_references", True))


def another_sampling(bench: Bench) -> None:
    """Samples with two seeds from the same fit."""
    first, folder = GENERATORS.ask(bench), GENERATORS.learn(bench).folder
    second = GENERATORS.sample(bench, folder, 0, seed=1)
    if bench.seeded and not difference(first, second):
        raise Failure("another seed for sampling gives exactly the same images", bench.method("sample"))


def one_by_one(bench: Bench) -> None:
    """Samples the last image of a series alone and with the others."""
    whole, part = GENERATORS.ask(bench), GENERATORS.sample(bench, GENERATORS.learn(bench).folder, COUNT - 1)
    GENERATORS.same(bench, whole[COUNT - 1 :], part, "an image depends on the other images sampled with it", bench.method("sample"))


def images_show_something(bench: Bench) -> None:
    """Fails if an image has only one colour, or all images are equal."""
    images = GENERATORS.ask(bench)
    for number, each in enumerate(images):
        if each["pixels"].min() == each["pixels"].max():
            raise Failure(f"image {number} has only one colour", bench.method("sample"))
    if not any(difference(images[:1], [each]) for each in images[1:]):
        raise Failure(f"its {len(images)} images are all equal", bench.method("sample"))


def depends_on_references(bench: Bench) -> None:
    """Compares images after fits on red and on blue squares."""
    if not uses_references(bench):
        raise Skip("`uses_references` is False: its images were made before")
    if not difference(GENERATORS.ask(bench), GENERATORS.ask(bench, "blue")):
        raise Failure("other references give exactly the same images", bench.method("fit"))


def odd_references(bench: Bench) -> None:
    """Fits on files of all formats, on the same pictures as plain PNG files, and on a single picture."""
    odd, plain = (GENERATORS.ask(bench, data) for data in ("odd", "plain"))
    GENERATORS.same(bench, odd, plain, "a fit on rotated, 16-bit, CMYK and other files differs from one on plain ones", bench.method("fit"))
    GENERATORS.ask(bench, "one")


def locates(bench: Bench) -> None:
    """Checks that files of all formats and the same pictures as plain PNG files get the same boxes."""
    if not hasattr(bench.found.cls, "locate"):
        raise Skip("it has no `locate`")
    odd, plain = (locate(bench, data) for data in ("odd", "plain"))
    GENERATORS.same(bench, odd, plain, "boxes in rotated, 16-bit, CMYK and other files differ from plain ones", bench.method("locate"))


def locate(bench: Bench, data: str, options: Mapping[str, object] | None = None) -> Answer:
    """The boxes that `locate` finds in toy pictures."""
    from synthbench.storage.boxes import read_boxes
    from synthbench.storage.views import BOXES

    fitted = str(GENERATORS.learn(bench).folder)
    done = bench.run("locate", {"images": [bench.pictures(data)]}, fitted=fitted, options=options)
    return of_boxes(read_boxes(done.folder / BOXES))
