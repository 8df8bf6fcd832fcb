"""`synthbench compare`: two runs side by side, for a person or for programs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthbench.cli.tables import print_table
from synthbench.text import cut, shortened

if TYPE_CHECKING:
    from synthbench.results.compare import ComparedCell, Comparison
    from synthbench.results.model import Results

DIFFERS = 1
LONGEST = 60  # characters of a value
WORDS = {
    "same": "same: the very same scores",
    "explained": "within seeds and images",
    "beyond": "BEYOND seeds and images",
    "unknown": "not known",
}


def command(arguments: argparse.Namespace) -> int:
    """`synthbench compare`."""
    from synthbench.results.compare import compare

    first, second = (results_in(Path(each)) for each in (arguments.first, arguments.second))
    found = compare(first, second)
    if arguments.json:
        print(json.dumps(as_json(found, first, second), indent=1))
    else:
        print_table([("A", arguments.first), ("B", arguments.second)])
        print_comparison(found, first, second)
    return 0 if found.agrees else DIFFERS


def results_in(path: Path) -> Results:
    """The results in a report's JSON, or in a bundle."""
    if path.suffix == ".zip":
        from synthbench.publishing.opening import Bundle

        with Bundle(path) as bundle:
            return bundle.results
    from synthbench.results.files import read_results

    return read_results(path)


def as_json(found: Comparison, first: Results, second: Results) -> dict[str, Any]:
    """The comparison for programs."""
    import msgspec

    content: dict[str, Any] = json.loads(msgspec.json.encode(found))
    return {"agrees": found.agrees, "resolution": found.resolution, **content, "first_sentences": sentences(first, second)}


def print_comparison(found: Comparison, first: Results, second: Results) -> None:
    """Everything that `compare` found, for a person."""
    print(f"\nthe same in both: {', '.join(found.same) or 'nothing but the names below'}")
    if found.differences:
        print()
        rows = [(each.about, each.place, value(each.first), value(each.second)) for each in found.differences]
        print_table([("differs", "what", "A", "B"), *rows])
    for name, other, pairs in (("A", "B", found.only_first), ("B", "A", found.only_second)):
        if pairs:
            print(f"\nwith an AP in {name}, and without one in {other}:")
            print_table([("training set", "detector"), *pairs])
    print_cells(found)
    print_verdicts(found, first, second)
    print(f"\n{conclusion(found)}")


def print_cells(found: Comparison) -> None:
    """The AP of each training set and detector that both have."""
    if not found.cells:
        print("\nno training set and detector has an AP in both")
        return
    print()
    print_table(
        [
            ("training set", "detector", "AP in A", "AP in B", "B - A", "p", "same keys", "the difference is"),
            *(cell_row(each) for each in found.cells),
        ]
    )
    print("\nin brackets: 95 % intervals. p: Welch's t-test, after Holm's correction over all rows. same keys: scores of one recipe")
    if found.same_test_images is False:
        print("The test images differ, so what is compared is how well detectors do on images like those of A and like those of B.")
    else:
        which = "are the same" if found.same_test_images else "may be the same"
        print(f"The test images {which}, but the errors are taken as independent: small differences are overlooked rather than made up.")


def cell_row(cell: ComparedCell) -> tuple[str, ...]:
    """A row of the table."""
    from synthbench.reporting.scores import signed, spanned

    change = signed(cell.change)
    if cell.low is not None and cell.high is not None:
        change += f" [{signed(cell.low)}, {signed(cell.high)}]"
    return (
        cell.training_set,
        cell.detector,
        spanned(cell.first),
        spanned(cell.second),
        change,
        "" if cell.p is None else f"{cell.p:.3f}",
        f"{cell.same_keys} of {max(cell.first.replicates, cell.second.replicates)}",
        WORDS[cell.finding],
    )


def print_verdicts(found: Comparison, first: Results, second: Results) -> None:
    """Whether verdicts and the first sentences of the reports agree."""
    other = [each for each in found.verdicts if each.first != each.second]
    if found.verdicts:
        print(f"\nverdicts: {len(found.verdicts) - len(other)} of {len(found.verdicts)} are the same")
    if other:
        rows = [(each.training_set, each.detector, each.first, each.second) for each in other]
        print_table([("training set", "detector", "A", "B"), *rows])
    one, another = sentences(first, second)
    print(f"\nthe reports begin alike: {one}" if one == another else f"\nthe reports begin with\n  A: {one}\n  B: {another}")


def conclusion(found: Comparison) -> str:
    """The last line."""
    if not found.cells:
        return "Nothing can be compared."
    if beyond := found.count("beyond"):
        return f"{beyond} of {len(found.cells)} AP figures differ by more than seeds and test images explain."
    if unknown := found.count("unknown"):
        return (
            f"Of {unknown} of {len(found.cells)} AP figures nothing can be said: a run has no interval for them, because it has one "
            "replicate or is of an older version. `replicates = 3` in the suite gives intervals."
        )
    if found.count("same") == len(found.cells):
        return f"All {len(found.cells)} AP figures are the very same."
    return f"No AP figure differs by more than seeds and test images explain ({len(found.cells)} compared). {limit(found)}"


def limit(found: Comparison) -> str:
    """How much would have been noticed: what is explained only because so little is known is no confirmation."""
    known = found.resolution
    return "" if known is None else f"At this spread, differences of less than about {known:.3f} AP are not told from none."


def sentences(first: Results, second: Results) -> list[str]:
    """How both reports begin."""
    from synthbench.reporting.answer import first_sentence

    return [" ".join(cut(first_sentence(each)).split()) for each in (first, second)]


def value(found: Any) -> str:
    """A value in one line of a table, short."""
    if isinstance(found, dict):  # an entry or a training set that the other has not
        found = found.get("plugin") or found.get("kind")
    text = "" if found is None else found if isinstance(found, str) else json.dumps(found)
    return shortened(" ".join(text.split()), LONGEST)
