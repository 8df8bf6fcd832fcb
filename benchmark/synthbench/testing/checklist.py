"""The checks of each kind of plugin, and two ways to run them: in a loop, or as a pytest test."""

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
SEEDED: tuple[PluginKind, ...] = ("annotator", *LEARNING)  # a data source always gets the same seed
BOXING: tuple[PluginKind, ...] = ("generator", "annotator")

# In the order in which they run: later checks reuse cached results of earlier ones, and the last checks end processes.
CHECKS = (
    Check("fast import", "importing it imports no library that is slow to import", PLUGIN_KINDS, shared.imports_fast),
    Check("options", "a suite can set its options, and their types are checked", PLUGIN_KINDS, options.options_are_checked),
    Check(WORKS, "its stages succeed on a few toy pictures", PLUGIN_KINDS, shared.works),
    Check(SAME_SEED, "the same seed gives the same result, also after other work", PLUGIN_KINDS, shared.same_seed),
    Check("another seed", "another seed gives another result, or the same if `seeded` is False", SEEDED, shared.another_seed),
    Check("late options", "options of the later stage do not affect the earlier one", LEARNING, late.late_options),
    Check("options used", "options of the later stage are read or change its result", LEARNING, late.options_are_used),
    Check("weights", "starting weights that an option names are loaded and used", PLUGIN_KINDS, starting_weights.weights_are_used),
    Check(detectors.LEARNS, detectors.LEARNS_PROMISE, ("detector",), detectors.learns),
    Check("labels", "it distinguishes two categories, or refuses more than one", ("detector",), detectors.distinguishes_categories),
    Check("odd pictures", "files of all formats are read as `Picture.pixels` reads them", ("detector",), detectors.odd_pictures),
    Check("equal steps", "it takes the same number of steps on 4 and on 12 pictures", ("detector",), detectors.equal_steps),
    Check("one picture", "it can train on one picture", ("detector",), detectors.one_picture),
    Check("thin picture", "it accepts a picture one pixel high, or its error names the file", ("detector",), detectors.thin_picture),
    Check("export", "its ONNX file, if it writes one, gives the same boxes", ("detector",), detectors.exports),
    Check("sampling seed", "another seed for sampling gives other images", ("generator",), generators.another_sampling),
    Check("image by image", "an image depends only on the seed and its number", ("generator",), generators.one_by_one),
    Check("images", "its images are not of one colour and not all equal", ("generator",), generators.images_show_something),
    Check("references", "other references give other images", ("generator",), generators.depends_on_references),
    Check("colours", "red references do not give blue images", ("generator",), appearance.colours_are_kept),
    Check("boxes", "boxes match the objects, in xyxy and pixels; in samples every object has a box", BOXING, appearance.boxes_fit),
    Check("labels", "each box has the label of the object in it", ("generator",), appearance.labels_fit),
    Check("odd references", "it can be fitted on files of all formats, and on one reference", ("generator",), generators.odd_references),
    Check("locates", "`locate`, if it exists, gives the same boxes for files of all formats", ("generator",), generators.locates),
    Check("odd pictures", "files of all formats are read as `Picture.pixels` reads them", ("annotator",), annotators.odd_pictures),
    Check("damaged pictures", "a truncated or missing picture raises an error that names the file", SEEDED, damaged.damaged_pictures),
    Check("boxes", "boxes lie inside their image and have a valid label", ("data-source",), sources.boxes_are_inside),
    Check("splits", "no picture is in both the training set and the test set", ("data-source",), sources.splits_are_apart),
    Check("scores", "scores are finite and from 0 to 1", SEEDED, conduct.scores_are_valid),
    Check("progress", "it reports progress", LEARNING, conduct.reports_progress),
    Check("prints nothing", "it does not print; log lines go through `run.log`", PLUGIN_KINDS, conduct.prints_nothing),
    Check("reads only inputs", "it reads no file of the store except its inputs", SEEDED, conduct.reads_only_inputs),
    Check("leaves no files", "it writes only into its working folder, and no pickles", PLUGIN_KINDS, conduct.leaves_no_files),
    Check(
        "process",
        "it leaves no open file, thread or child process, and does not change the current folder or environment",
        PLUGIN_KINDS,
        conduct.process_is_as_before,
    ),
    Check("no connection", "it opens no network connection", PLUGIN_KINDS, conduct.opens_no_connection),
    Check("fresh process", "a new process gives the same result from the same trained model", LEARNING, interrupting.fresh_process),
    Check("crash", "a crash is reported as an error, and a second run gives the same", PLUGIN_KINDS, interrupting.crash_is_an_error),
    Check("out of memory", "it ends if memory runs out", PLUGIN_KINDS, interrupting.out_of_memory_is_an_error),
    Check("Ctrl-C", "it stops on Ctrl-C", PLUGIN_KINDS, interrupting.stops_on_interrupt),
)


def checks_of(kind: PluginKind) -> list[Check]:
    """The checks of a kind, in order."""
    return [check for check in CHECKS if kind in check.kinds]


def run_check(check: Check, bench: Bench) -> Result:
    """Runs a check of this bench's plugin."""
    started = time.monotonic()
    ending: dict[str, Any] = {"status": "passed"}
    bench.check = check.name
    try:
        check.function(bench)
    except Failure as failure:
        bench.failures[check.name] = failure.reason
        ending = {"status": "failed", "reason": failure.reason, "place": failure.place, "trace": failure.trace}
    except Skip as skip:
        ending = {"status": "skipped", "reason": str(skip), "needs": skip.needs}
    return Result(check.name, check.promise, seconds=round(time.monotonic() - started, 1), **ending)


def run_checks(kind: PluginKind, name: str, options: Mapping[str, object] | None = None) -> Iterator[Result]:
    """Runs all checks of a plugin and yields each result.

    options: override or extend the plugin's `smoke_options`.
    Raises SynthbenchError if the plugin is not installed, its options are wrong or missing, or its environment is not made.
    """
    with Bench(kind, name, options or {}) as bench:
        for check in checks_of(kind):
            yield run_check(check, bench)


class Shared:
    """The bench that the tests of a plugin share. There is one at a time, since each has a running process."""

    def __init__(self) -> None:
        self.bench: Bench | None = None
        self.about: object = None

    def of(self, kind: PluginKind, name: str, options: Mapping[str, object]) -> Bench:
        """The bench of a plugin with these options; closes the bench of any other."""
        if self.about != (kind, name, options) or self.bench is None:
            self.close()
            self.bench, self.about = Bench(kind, name, options), (kind, name, options)
        return self.bench

    def close(self) -> None:
        """Closes the bench, if there is one."""
        if self.bench is not None:
            self.bench.close()
        self.bench = None


SHARED = Shared()


def contract(kind: PluginKind, name: str, /, **options: object) -> Callable[..., None]:
    """A pytest test of all checks of a plugin, to assign to a name that begins with `test`.

    options: override or extend the plugin's `smoke_options`. Skipped if the plugin's own environment is not made.
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
