"""What a leaderboard keeps of a bundle: `entries/<identity>/entry.json`, so that the bundle need not be given again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import msgspec

from synthbench.errors import SynthbenchError
from synthbench.publishing.figures import checked, not_finite
from synthbench.publishing.images import Images, images_of
from synthbench.publishing.opening import Bundle
from synthbench.publishing.season import Season, season_of
from synthbench.publishing.submission import Author, TestData, Tries, identity_of
from synthbench.reporting.scores import Scores
from synthbench.results.claims import Equivalent, Figure
from synthbench.results.model import DataInfo, EntryInfo, Environment, Results, SuiteInfo, TrainingSetInfo, TrainingSetKind
from synthbench.results.prove import is_tested
from synthbench.results.worth import real_counts
from synthbench.text import cut

SCHEMA = 1
ENTRY = "entry.json"
LONGEST_NAME = 120
MOST_ROWS = 2000
LARGEST_ENTRY = 2**21
"""Bytes of `entry.json`: a real one has a few dozen kB."""
REFERENCE_KINDS = ("real", "references")


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training set and a detector.

    ranked: whether it competes: a generated set, or a mix with generated images. rival: without a generative model. detector: its
    position in the suite. images: generated ones, or real ones of a subset; whole: what a part is of. real_images: how many real
    images the row has, if it is one of the curve of real images. verdict: as in the report; empty where there is none. seconds: to
    make generated images and boxes, as measured by whoever made them. weights: starting weights, what they were trained on.
    licenses: of all plugins it needs.
    """

    number: int
    training_set: str
    kind: TrainingSetKind
    ranked: bool
    rival: bool
    detector: int
    images: int | None = None
    whole: str = ""
    real_images: int | None = None
    ap: Figure
    difference: Figure | None = None
    verdict: str = ""
    worth: Equivalent | None = None
    seconds: float | None = None
    weights: dict[str, str] = {}
    licenses: list[str] = []


class BoardEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundle on a leaderboard. season: what its season would be if it were the first."""

    schema: int = SCHEMA
    checksum: str
    synthbench: str
    author: Author
    test: TestData
    tries: Tries
    season: Season
    suite: SuiteInfo
    data: DataInfo
    device: str
    platform: str
    rows: list[Row]
    images: Images

    @property
    def identity(self) -> str:
        """The bundle's, and the name of the entry's folder."""
        return identity_of(self.checksum)

    def row_id(self, row: Row) -> str:
        """The permanent address of a row, the same in every leaderboard."""
        return f"{self.identity}-{row.number}"


def entry_of(path: Path) -> tuple[BoardEntry, dict[str, bytes]]:
    """A bundle as an entry, and the pictures that its pages show, by their names.

    Every member that is used is compared with its hash. Raises SynthbenchError, with bundle and place, if it is not what it should be.
    """
    with Bundle(path) as bundle:
        submission, results = bundle.submission, bundle.results
        try:
            season, rows = season_of(submission, results), rows_of(results)
        except (LookupError, ValueError, StopIteration, ArithmeticError, AssertionError, RecursionError) as error:
            bundle.refuse(
                f"results.json: {error}" if isinstance(error, ValueError) else f"results.json: its parts contradict each other ({error})"
            )
        assert results.data is not None, "else it has no season"
        images, files = images_of(bundle, rows)
        entry = BoardEntry(
            checksum=submission.checksum,
            synthbench=cut(submission.synthbench, LONGEST_NAME),
            author=submission.author,
            test=submission.test,
            tries=submission.tries,
            season=season,
            suite=results.suite,
            data=results.data,
            device=results.environment.device,
            platform=platform_of(results.environment),
            rows=rows,
            images=images,
        )
        place = next(not_finite(msgspec.to_builtins(entry)), None)
        if place is not None:
            bundle.refuse(f"results.json: {place} is not a finite number")
        if len(msgspec.json.encode(entry)) > LARGEST_ENTRY:
            bundle.refuse(f"results.json: names and options are too long: more than {LARGEST_ENTRY >> 20} MB")
        return entry, files


def rows_of(results: Results) -> list[Row]:
    """All training sets and detectors with a score, in the order of the report. Raises ValueError if a figure cannot be one."""
    scores = Scores(results)
    curve = real_counts(results.training_sets, results.suite, results.data)
    real = scores.of_kind("real")
    rows: list[Row] = []
    for row in results.training_sets:
        used = plugins_of(row, results)
        for number, detector in enumerate(results.suite.detectors):
            level = scores.level(row.name, detector.name)
            if level is None:
                continue
            found = scores.verdict(row.name, detector.name)
            word = found.word if found else "" if scores.learned(detector.name) or not is_tested(row) else "nothing learned"
            rows.append(
                Row(
                    number=len(rows),
                    training_set=cut(row.name, LONGEST_NAME),
                    kind=row.kind,
                    ranked=is_tested(row),
                    rival=row.name in scores.tested_apart,
                    detector=number,
                    images=row.images,
                    whole=row.whole,
                    real_images=curve.get(row.name),
                    ap=checked(level, 0, f"the AP of {row.name!r}"),
                    difference=checked(gap, -1, f"the difference of {row.name!r}")
                    if (gap := scores.difference(row.name, detector.name, real))
                    else None,
                    verdict=word,
                    worth=scores.worth(row.name, detector.name),
                    seconds=seconds_of(row, results),
                    weights=weights_of([*used, detector]),
                    licenses=sorted({part for each in (*used, detector) if each.license for part in each.license.split(" AND ")}),
                )
            )
    if not any(row.ranked for row in rows):
        raise ValueError("no generated training set has a score")
    if len(rows) > MOST_ROWS:
        raise ValueError(f"{len(rows)} rows, more than {MOST_ROWS}")
    return rows


def seconds_of(row: TrainingSetInfo, results: Results) -> float | None:
    """Seconds to make a training set; None of real images, which only look free, and where it is unknown."""
    if row.kind in ("real", "references", "subset") or row.name not in results.costs:
        return None
    return sum(results.costs[row.name].values())


def plugins_of(row: TrainingSetInfo, results: Results, above: frozenset[str] = frozenset()) -> list[EntryInfo]:
    """The generators and annotators that a training set needs, and the detectors of teachers.

    Raises ValueError if it is a part of itself.
    """
    if row.name in above:
        raise ValueError(f"{row.name!r} is a part of itself")
    suite = results.suite
    annotators = [each for each in suite.annotators if each.name == row.annotator]
    teachers = [each.options.get("detector") for each in annotators]
    found = [each for each in suite.generators if each.name == row.generator]
    found += [*annotators, *(each for each in suite.detectors if each.name in teachers)]
    for part in results.training_sets:
        if part.name in (*row.parts, row.whole):
            found += [each for each in plugins_of(part, results, above | {row.name}) if each not in found]
    return found


def weights_of(used: Iterable[EntryInfo]) -> dict[str, str]:
    """What the starting weights of plugins were trained on, by `plugin: weights`."""
    found = {}
    for entry in used:
        for option, text in entry.trained_on.items():
            value = entry.options.get(option)
            found[cut(f"{entry.name}: {value if isinstance(value, str) else option}", LONGEST_NAME)] = cut(" ".join(text.split()), 500)
    return found


def platform_of(environment: Environment) -> str:
    """The machine and what ran on it, in a line."""
    return cut(f"{environment.platform}, Python {environment.python}", LONGEST_NAME)


def read_entry(path: Path) -> BoardEntry:
    """An entry that `synthbench leaderboard` wrote. Raises SynthbenchError if it is another or damaged."""

    def refuse(what: object) -> NoReturn:
        raise SynthbenchError(f"{path}: {what}; remove its folder, and merge the bundle again") from None

    try:
        entry = msgspec.json.decode(path.read_bytes(), type=BoardEntry)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        refuse(error)
    if entry.schema != SCHEMA:
        refuse(f"of schema {entry.schema}, not {SCHEMA} as this version's")
    if entry.identity != path.parent.name:
        refuse(f"is the entry of bundle {entry.identity!r}")
    if [row.number for row in entry.rows] != [*range(len(entry.rows))]:
        refuse("its rows are not numbered from 0")
    if any(not 0 <= row.detector < len(entry.suite.detectors) for row in entry.rows):
        refuse("a row names a detector that the suite does not have")
    if (place := next(not_finite(msgspec.to_builtins(entry)), None)) is not None:
        refuse(f"{place} is not a finite number")
    return entry
