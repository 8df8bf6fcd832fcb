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
    """They fit, with the same seed always, and sample."""

    stage = "fit"

    def views(self, bench: Bench, data: str) -> Views:
        """The references."""
        return {"references": [bench.pictures(data)]}

    def use(self, bench: Bench, folder: Path, data: str, seed: int, options: Mapping[str, object] | None = None) -> Answer:
        """The first images of a row."""
        return self.sample(bench, folder, 0, seed, data=data, options=options)

    def sample(
        self, bench: Bench, folder: Path, start: int, seed: int = 0, *, data: str = "", options: Mapping[str, object] | None = None
    ) -> Answer:
        """The images from `start` to the end of the row. data: the references, whose categories the images have."""
        from synthbench.storage.coco import read_set

        # As a suite does that asks for more images than are in the store: those before `start` are there already.
        series = key_of("series", str(len(bench.done)))
        for count in (start, COUNT) if start else (COUNT,):
            parts: dict[str, Any] = {"fitted": str(folder), "parameters": {"count": count}, "series": series}
            done = bench.run("sample", {"like": [bench.pictures(data or self.usual)]}, seed=seed, options=options, **parts)
        return of_images(read_set(done.folder)[start:])


GENERATORS = Generators()


def another_sampling(bench: Bench) -> None:
    """Samples with another seed after the same fit."""
    first, folder = GENERATORS.ask(bench), GENERATORS.learn(bench).folder
    second = GENERATORS.sample(bench, folder, 0, seed=1)
    if bench.seeded and not difference(first, second):
        raise Failure("another seed of the sampling gives the very same images", bench.method("sample"))


def one_by_one(bench: Bench) -> None:
    """Samples the last image of a row alone."""
    whole, part = GENERATORS.ask(bench), GENERATORS.sample(bench, GENERATORS.learn(bench).folder, COUNT - 1)
    GENERATORS.same(bench, whole[COUNT - 1 :], part, "an image depends on the others that are sampled with it", bench.method("sample"))


def images_show_something(bench: Bench) -> None:
    """Looks for images of one colour, and for images that are all the same."""
    images = GENERATORS.ask(bench)
    for number, each in enumerate(images):
        if each["pixels"].min() == each["pixels"].max():
            raise Failure(f"image {number} is of one colour", bench.method("sample"))
    if not any(difference(images[:1], [each]) for each in images[1:]):
        raise Failure(f"its {len(images)} images are all the same", bench.method("sample"))


def depends_on_references(bench: Bench) -> None:
    """Fits on red squares and on blue ones."""
    if not difference(GENERATORS.ask(bench), GENERATORS.ask(bench, "blue")):
        raise Failure("other references give the very same images", bench.method("fit"))


def odd_references(bench: Bench) -> None:
    """Fits on files and contents of every sort, on the same as plain files, and on a single picture."""
    odd, plain = (GENERATORS.ask(bench, data) for data in ("odd", "plain"))
    GENERATORS.same(bench, odd, plain, "a fit on turned, 16-bit, CMYK and other files is not as on plain ones", bench.method("fit"))
    GENERATORS.ask(bench, "one")


def locates(bench: Bench) -> None:
    """Looks for boxes in pictures of every sort."""
    if not hasattr(bench.found.cls, "locate"):
        raise Skip("it has no `locate`")
    odd, plain = (locate(bench, data) for data in ("odd", "plain"))
    GENERATORS.same(bench, odd, plain, "boxes in turned, 16-bit, CMYK and other files are not those in plain ones", bench.method("locate"))


def locate(bench: Bench, data: str, options: Mapping[str, object] | None = None) -> Answer:
    """The boxes that it locates in toy pictures."""
    from synthbench.storage.boxes import read_boxes
    from synthbench.storage.views import BOXES

    fitted = str(GENERATORS.learn(bench).folder)
    done = bench.run("locate", {"images": [bench.pictures(data)]}, fitted=fitted, options=options)
    return of_boxes(read_boxes(done.folder / BOXES))
