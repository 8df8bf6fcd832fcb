"""The checks of each kind, and the two ways to run them: one after the other, or as a pytest test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthbench.contract.stages import PLUGIN_KINDS, PluginKind
from synthbench.testing import (
    annotators,
    appearance,
    conduct,
    damaged,
    detectors,
    generators,
    interrupting,
    late,
    options,
    shared,
    sources,
    starting_weights,
)
from synthbench.testing.bench import WORKS, Bench
from synthbench.testing.checks import Check, Failure, Result, Skip
from synthbench.testing.configuring import NoEnvironment
from synthbench.testing.subject import SAME_SEED

if TYPE_CHECKING:
    import pytest

LEARNING: tuple[PluginKind, ...] = ("generator", "detector")
SEEDED: tuple[PluginKind, ...] = ("annotator", *LEARNING)  # a data source is always given the same seed
BOXING: tuple[PluginKind, ...] = ("generator", "annotator")

# In the order in which they are run: each finds what the ones before it have made, and the last ones end processes.
CHECKS = (
    Check("loads lightly", "loading it imports no library that takes long to import", PLUGIN_KINDS, shared.loads_lightly),
    Check("options", "a suite can set its options, and they are checked", PLUGIN_KINDS, options.options_are_checked),
    Check(WORKS, "it does the work of its kind, on a few toy pictures", PLUGIN_KINDS, shared.works),
    Check(SAME_SEED, "the same seed gives the same, whatever was done in between", PLUGIN_KINDS, shared.same_seed),
    Check("another seed", "another seed gives something else, or the same where `seeded` is False", SEEDED, shared.another_seed),
    Check("late options", "options of the later stage do not matter in the earlier one", LEARNING, late.late_options),
    Check("options count", "options of the later stage are read, or change what comes out", LEARNING, late.options_count),
    Check("weights", "starting weights that an option names are opened and used", PLUGIN_KINDS, starting_weights.weights_count),
    Check(detectors.LEARNS, detectors.LEARNS_PROMISE, ("detector",), detectors.learns),
    Check("labels", "it tells two categories apart, or refuses more than one", ("detector",), detectors.tells_categories_apart),
    Check("odd pictures", "files of every sort are what `Picture.pixels` says they are", ("detector",), detectors.odd_pictures),
    Check("one picture", "one picture is enough to train on", ("detector",), detectors.one_picture),
    Check("thin picture", "a picture a pixel high is stood, or refused with its name", ("detector",), detectors.thin_picture),
    Check("sampling seed", "another seed of the sampling gives other images", ("generator",), generators.another_sampling),
    Check("image by image", "an image depends on the seed and its number alone", ("generator",), generators.one_by_one),
    Check("images", "its images show something, and not all the same", ("generator",), generators.images_show_something),
    Check("references", "other references give other images", ("generator",), generators.depends_on_references),
    Check("colours", "red references do not give blue images", ("generator",), appearance.colours_are_kept),
    Check("boxes", "boxes lie where the objects are, in xyxy and pixels; samples have all of them", BOXING, appearance.boxes_fit),
    Check("labels", "boxes have the label of what is in them", ("generator",), appearance.labels_fit),
    Check("odd references", "references of every sort, or a single one, can be fitted on", ("generator",), generators.odd_references),
    Check("locates", "where it can locate, it does so in pictures of every sort", ("generator",), generators.locates),
    Check("odd pictures", "files of every sort are what `Picture.pixels` says they are", ("annotator",), annotators.odd_pictures),
    Check("damaged pictures", "a stage fails at a truncated or missing picture, and names it", SEEDED, damaged.damaged_pictures),
    Check("boxes", "boxes lie in their images and have a category", ("data-source",), sources.boxes_are_inside),
    Check("splits", "no picture is in the training set and in the test set", ("data-source",), sources.splits_are_apart),
    Check("scores", "scores are finite, from 0 to 1", SEEDED, conduct.scores_are_shares),
    Check("progress", "it says how far it is", LEARNING, conduct.tells_progress),
    Check("prints nothing", "it prints nothing; lines for the log go through `run.log`", PLUGIN_KINDS, conduct.prints_nothing),
    Check("reads its own", "it reads no file of the harness that it was not given", SEEDED, conduct.reads_what_it_is_given),
    Check("leaves nothing", "it writes into its working folder only, and no pickles", PLUGIN_KINDS, conduct.leaves_nothing),
    Check(
        "process",
        "it leaves no open file, thread or child, and the folder and variables as they were",
        PLUGIN_KINDS,
        conduct.process_is_as_before,
    ),
    Check("no connection", "it opens no connection", PLUGIN_KINDS, conduct.opens_no_connection),
    Check("fresh process", "a fresh process gives the same with what was learnt", LEARNING, interrupting.fresh_process),
    Check("crash", "a crash is an error, and what comes after it is as before", PLUGIN_KINDS, interrupting.crash_is_an_error),
    Check("out of memory", "where memory runs out it ends", PLUGIN_KINDS, interrupting.out_of_memory_is_an_error),
    Check("Ctrl-C", "it stops on Ctrl-C", PLUGIN_KINDS, interrupting.stops_on_interrupt),
)


def checks_of(kind: PluginKind) -> list[Check]:
    """The checks of a kind, in order."""
    return [check for check in CHECKS if kind in check.kinds]


def run_check(check: Check, bench: Bench) -> Result:
    """How a check of this bench's plugin ends."""
    started = time.monotonic()
    told: dict[str, Any] = {"status": "passed"}
    bench.check = check.name
    try:
        check.function(bench)
    except Failure as failure:
        bench.failures[check.name] = failure.reason
        told = {"status": "failed", "reason": failure.reason, "place": failure.place, "trace": failure.trace}
    except Skip as skip:
        told = {"status": "skipped", "reason": str(skip), "needs": skip.needs}
    return Result(check.name, check.promise, seconds=round(time.monotonic() - started, 1), **told)


def run_checks(kind: PluginKind, name: str, options: Mapping[str, object] | None = None) -> Iterator[Result]:
    """Runs every check of a plugin and gives each result as it comes.

    options: besides or instead of the plugin's `smoke_options`.
    Raises SynthbenchError where there is no such plugin, its options are wrong or missing, or its environment was not made.
    """
    with Bench(kind, name, options or {}) as bench:
        for check in checks_of(kind):
            yield run_check(check, bench)


class Shared:
    """The bench that several tests share: one at a time, since each keeps a process warm."""

    def __init__(self) -> None:
        self.bench: Bench | None = None
        self.about: object = None

    def of(self, kind: PluginKind, name: str, options: Mapping[str, object]) -> Bench:
        """The bench of a plugin with these options; another one's is given up."""
        if self.about != (kind, name, options) or self.bench is None:
            self.close()
            self.bench, self.about = Bench(kind, name, options), (kind, name, options)
        return self.bench

    def close(self) -> None:
        """Gives up the bench, if there is one."""
        if self.bench is not None:
            self.bench.close()
        self.bench = None


SHARED = Shared()


def contract(kind: PluginKind, name: str, /, **options: object) -> Callable[..., None]:
    """A pytest test of every check of a plugin, for its module to keep under a name that begins with `test`.

    options: besides or instead of the plugin's `smoke_options`. Skipped where the plugin's own environment was not made.
    """
    import pytest

    checks: Sequence[Check] = checks_of(kind)

    @pytest.mark.parametrize("check", checks, ids=[check.name for check in checks])
    def test(check: Check, request: pytest.FixtureRequest) -> None:
        try:
            bench = SHARED.of(kind, name, options)
        except NoEnvironment as error:
            pytest.skip(str(error))
        module = request.node.getparent(pytest.Module)
        assert module is not None, "a test function is in a module"
        module.addfinalizer(SHARED.close)
        result = run_check(check, bench)
        if result.status == "skipped":
            pytest.skip(result.reason)
        if result.status == "failed":
            pytest.fail(str(Failure(result.reason, result.place, result.trace)), pytrace=False)

    return test
