"""Leaderboards: seasons, receipts, ranks, and what strangers' bundles cannot do to them."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from boards import changed, fake_bundle, members_of, nasty, submitted
from msgspec import structs
from synthbench import SynthbenchError
from synthbench.cli import main
from synthbench.cli.parser import parser
from synthbench.publishing import board
from synthbench.publishing.merging import alone, merge
from synthbench.publishing.receipts import Receipt, receipt_of
from synthbench.publishing.submission import Author
from synthbench.publishing.verifying import verify
from synthbench.results.model import Results

pytestmark = pytest.mark.xdist_group("leaderboard")  # in one process the bundle is made once


@pytest.fixture(scope="module")
def bundle() -> Path:
    return fake_bundle()


@pytest.fixture(scope="module")
def others(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return submitted(bundle, tmp_path_factory.mktemp("others"), ["Ada", "Ben", "Cyd"])


DOCS = Path(__file__).parents[1] / "docs"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "leaderboard.json").read_bytes())["rows"]
    return found


def in_suite(**changes: Any) -> Callable[[Results], Results]:
    return lambda results: structs.replace(results, suite=structs.replace(results.suite, **changes))


def test_the_command_makes_a_leaderboard_of_a_real_bundle(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receipts = tmp_path / "receipts"
    assert main(["verify", str(bundle), "--receipt", str(receipts)]) == 0
    assert main(["leaderboard", str(bundle), "--out", str(tmp_path / "board"), "--receipts", str(receipts)]) == 0
    assert "1 bundles, 1 of them new" in capsys.readouterr().out
    names = {*files_of(tmp_path / "board")}
    assert {"leaderboard.md", "leaderboard.json", "leaderboard.csv", "season.json", "index.html", "words.html", "compare.html"} <= names
    rows = rows_of(tmp_path / "board")
    assert {row["table"] for row in rows} == {"threshold", "strict"}
    results = json.loads(members_of(bundle)["results.json"])
    painted = next(row for row in rows if (row["training_set"], row["detector"]) == ("paint x native", "strict"))
    level = next(
        each["figure"] for each in results["evidence"]["levels"] if (each["training_set"], each["detector"]) == ("paint x native", "strict")
    )
    assert (painted["ap"], painted["ap_low"], painted["ap_high"]) == (level["mean"], level["low"], level["high"])
    assert painted["level"] == "re-scored"
    assert painted["scored_against"] == "the true boxes in the bundle"
    assert 1 <= painted["rank_low"] <= painted["rank_high"] <= 3
    assert painted["seconds"] > 0
    assert {row["training_set"] for row in rows if row["rank_low"] is None} == {"real", "references"}


def test_any_order_of_merging_gives_the_same_bytes(bundle: Path, others: list[Path], tmp_path: Path) -> None:
    made = []
    for number, order in enumerate(itertools.permutations(others)):
        folder = tmp_path / str(number)
        merge([bundle], folder)
        for path in order[:number]:  # some one by one, the others at once
            merge([path], folder)
        merge(order, folder)
        made.append(files_of(folder))
    assert len(made[0]) > 20
    assert all(each == made[0] for each in made)


def test_one_more_bundle_changes_no_page_of_another_and_the_same_again_changes_nothing(
    bundle: Path, others: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "board"
    merge([bundle, *others[:2]], folder)
    before = files_of(folder)
    times = {name: (folder / name).stat().st_mtime_ns for name in before}
    assert merge([bundle], folder).written == 0
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == times
    added = merge([others[2]], folder)
    after = files_of(folder)
    touched = {name for name in before if after[name] != before[name]}
    assert {name for name in touched if not name.endswith(".svg")} == {
        "index.html",
        "leaderboard.csv",
        "leaderboard.json",
        "leaderboard.md",
        "site/entries.js",
    }
    assert {*after} - {*before} == {name for name in after if added.added[0] in name}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (in_suite(references=4), "the number of references is 4, and 3 in this season"),
        (in_suite(margin=0.2), "the margin is 0.2, and 0.05 in this season"),
        (in_suite(holdout=2), "the number of real training images is 4, and 6 in this season"),
    ],
)
def test_a_bundle_of_another_protocol_is_refused_with_the_reason(
    bundle: Path, tmp_path: Path, change: Callable[[Results], Results], reason: str
) -> None:
    merge([bundle], tmp_path / "board")
    before = files_of(tmp_path / "board")
    with pytest.raises(SynthbenchError, match=reason):
        merge([changed(bundle, tmp_path / "other.zip", change)], tmp_path / "board")
    assert files_of(tmp_path / "board") == before


def test_other_test_images_and_other_metrics_are_another_season(bundle: Path, tmp_path: Path) -> None:
    merge([bundle], tmp_path / "board")
    other = changed(
        bundle,
        tmp_path / "other.zip",
        submission=lambda old: structs.replace(
            old, metrics=2, test=structs.replace(old.test, fingerprint="f" * 64, included=False, reason="none")
        ),
        members={"truth.json": None},
    )
    with pytest.raises(SynthbenchError, match=r"fingerprint of the test images is f{64}, and .*; the version of the metrics is 2, and 3"):
        merge([other], tmp_path / "board")


def test_a_detector_with_another_option_is_in_the_open_division(bundle: Path, tmp_path: Path) -> None:
    def larger(results: Results) -> Results:
        first, *rest = results.suite.detectors
        return in_suite(detectors=[structs.replace(first, options={**first.options, "margin": 3.0}), *rest])(results)

    merge([bundle, changed(bundle, tmp_path / "other.zip", larger)], tmp_path / "board")
    rows = rows_of(tmp_path / "board")
    divisions = {(row["bundle"], row["detector"]): row["division"] for row in rows if row["kind"] == "generated"}
    assert sorted(divisions.values()) == ["closed", "closed", "closed", "open"]
    assert {row["detector"] for row in rows if row["division"] == "open"} == {"threshold"}


def test_without_a_receipt_an_entry_is_self_reported_and_receipts_stay(bundle: Path, others: list[Path], tmp_path: Path) -> None:
    receipts, folder = tmp_path / "receipts", tmp_path / "board"
    assert main(["verify", str(bundle), "--receipt", str(receipts)]) == 0
    merge([bundle, others[0]], folder)
    assert {row["level"] for row in rows_of(folder)} == {"self-reported"}
    merge([], folder, receipts)
    merge([others[1]], folder)
    identity = json.loads(members_of(bundle)["bundle.json"])["checksum"][:12]
    assert {row["level"] for row in rows_of(folder) if row["bundle"] == identity} == {"re-scored"}
    assert {row["level"] for row in rows_of(folder) if row["bundle"] != identity} == {"self-reported"}


def test_what_nobody_checked_does_not_move_the_ranks_of_what_was(bundle: Path, others: list[Path], tmp_path: Path) -> None:
    def ranks_in(folder: Path) -> dict[str, tuple[int | None, int | None]]:
        return {row["id"]: (row["rank_low"], row["rank_high"]) for row in rows_of(folder) if row["rank_low"] or row["kind"] == "generated"}

    receipts, folder = tmp_path / "receipts", tmp_path / "board"
    merge([bundle, *others], folder)
    assert all(low for low, _ in ranks_in(folder).values()), "nothing was checked, so all are alike"
    assert main(["verify", str(bundle), "--receipt", str(receipts)]) == 0
    merge([], folder, receipts)
    merge([bundle], tmp_path / "single", receipts)
    found, single = ranks_in(folder), ranks_in(tmp_path / "single")
    assert {key: found[key] for key in single} == single
    assert {places for key, places in found.items() if key not in single} == {(None, None)}


def test_of_thousands_of_rows_the_best_are_ranked(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(board, "MOST_RANKED", 1)
    part = merge([bundle], tmp_path).board.tables[0]
    assert len(part.ranked) == 1
    assert part.unranked
    assert part.ranked[0].row.ap.mean >= max(line.row.ap.mean for line in part.unranked)


def test_a_bundle_whose_numbers_do_not_hold_is_refused(bundle: Path, others: list[Path], tmp_path: Path) -> None:
    receipts = tmp_path / "receipts"
    assert main(["verify", str(others[0]), "--receipt", str(receipts)]) == 1, "its scores were made up"
    with pytest.raises(SynthbenchError, match=r"receipt says that \d+ of \d+ numbers do not hold"):
        merge([bundle, others[0]], tmp_path / "board", receipts)
    assert not (tmp_path / "board").exists()


def test_a_receipt_in_a_bundle_or_for_another_bundle_counts_for_nothing(bundle: Path, others: list[Path], tmp_path: Path) -> None:
    receipts = tmp_path / "receipts"
    receipts.mkdir()
    mine = json.loads(members_of(bundle)["bundle.json"])["checksum"]
    forged = Receipt(checksum=mine[:12] + "0" * 52, level="re-run", synthbench="1", numbers=1, problems=0)
    (receipts / f"{mine[:12]}.json").write_bytes(msgspec.json.encode(forged))
    merge([bundle], tmp_path / "board", receipts)
    assert {row["level"] for row in rows_of(tmp_path / "board")} == {"self-reported"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "no receipt that can be read"), ('{"level": "certified"}', "no receipt"), (None, "no folder of receipts")],
)
def test_a_receipt_that_is_none_is_an_error(bundle: Path, tmp_path: Path, text: str | None, reason: str) -> None:
    receipts = tmp_path / "receipts"
    if text is not None:
        receipts.mkdir()
        (receipts / "x.json").write_text(text)
    with pytest.raises(SynthbenchError, match=reason):
        merge([bundle], tmp_path / "board", receipts)


def in_first_level(**figure: float | None) -> Callable[[Results], Results]:
    def change(results: Results) -> Results:
        assert results.evidence
        first, *rest = results.evidence.levels
        levels = [structs.replace(first, figure=structs.replace(first.figure, **figure)), *rest]
        return structs.replace(results, evidence=structs.replace(results.evidence, levels=levels))

    return change


def in_itself(results: Results) -> Results:
    return structs.replace(results, training_sets=[structs.replace(each, parts=[each.name]) for each in results.training_sets])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (in_first_level(mean=1.5), "the AP of 'real' is 1.5"),
        (in_first_level(mean=0.5, low=0.6, high=0.7, error=0.01), "is not around it"),
        (in_first_level(mean=0.5, low=0.499, high=0.501, error=0.01), "too narrow"),
        (in_first_level(low=None), "half an interval"),
        (in_itself, "a part of itself|contradict"),
        (lambda results: structs.replace(results, training_sets=[]), "no generated training set|contradict"),
        (lambda results: structs.replace(results, cells=[], evidence=None), "no generated training set"),
        (in_suite(about="x" * 3_000_000), "too long"),
    ],
)
def test_figures_that_cannot_be_are_refused_with_their_place(
    bundle: Path, tmp_path: Path, change: Callable[[Results], Results], reason: str
) -> None:
    with pytest.raises(SynthbenchError, match=reason):
        merge([changed(bundle, tmp_path / "wrong.zip", change)], tmp_path / "board")


def test_an_infinite_number_is_refused(bundle: Path, tmp_path: Path) -> None:
    results = json.loads(members_of(bundle)["results.json"])
    results["costs"]["paint x native"]["fit"] = 12345.5
    infinite = json.dumps(results).replace("12345.5", "1e999").encode()
    with pytest.raises(SynthbenchError, match=r"rows\.\d+\.seconds is not a finite number"):
        merge([changed(bundle, tmp_path / "wrong.zip", members={"results.json": infinite})], tmp_path / "board")


@pytest.mark.parametrize("name", ["pictures/tiles.webp", "pictures/test-0.webp"])
def test_a_picture_that_is_none_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    assert name in members_of(bundle)
    wrong = changed(bundle, tmp_path / "wrong.zip", members={name: b"<svg onload='alert(1)'/>"})
    with pytest.raises(SynthbenchError, match="no picture that opens"):
        merge([wrong], tmp_path / "board")


def test_all_that_is_wrong_is_said_at_once(bundle: Path, tmp_path: Path) -> None:
    wrong = changed(bundle, tmp_path / "wrong.zip", in_suite(references=9))
    (tmp_path / "none.zip").write_bytes(b"no zip")
    with pytest.raises(SynthbenchError, match=r"(?s)none\.zip.*wrong\.zip.*nothing was written"):
        merge([bundle, tmp_path / "none.zip", wrong], tmp_path / "board")
    assert not (tmp_path / "board").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my page")
    with pytest.raises(SynthbenchError, match=r"so it is no leaderboard, but index\.html"):
        merge([bundle], tmp_path)
    with pytest.raises(SynthbenchError, match="an empty leaderboard, and no bundle"):
        merge([], tmp_path / "new")


def test_two_merges_do_not_work_on_one_folder_at_once(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "board"
    with alone(folder), pytest.raises(SynthbenchError, match="another merge is at work there"):
        merge([bundle], folder)
    merge([bundle], folder)
    (tmp_path / "file").touch()
    with pytest.raises(SynthbenchError, match="no folder for a leaderboard"):
        merge([bundle], tmp_path / "file")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("detector", 99, "a row names a detector"), ("number", 5, "not numbered from 0"), ("training_set", 3, "Expected `str`")],
)
def test_an_entry_that_somebody_edited_is_refused(bundle: Path, tmp_path: Path, field: str, value: object, reason: str) -> None:
    merge([bundle], tmp_path)
    path = next(tmp_path.glob("entries/*/entry.json"))
    content = json.loads(path.read_bytes())
    content["rows"][0][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(SynthbenchError, match=rf"entry\.json.*{reason}.*merge the bundle again"):
        merge([], tmp_path)


def test_a_title_mentions_nobody_and_links_nowhere(bundle: Path, tmp_path: Path) -> None:
    merge([bundle], tmp_path, title="@team www.a.example https://b.example $x$ #12 Rows & images")
    title = (tmp_path / "leaderboard.md").read_text().splitlines()[0]
    assert title.replace("\N{WORD JOINER}", "") == "# @team www.a.example https://b.example $x$ #12 Rows & images"
    assert not re.search(r"@\w|www\.\w|://\w|\$\w|#\d", title)


def test_an_entry_that_was_removed_is_gone_with_its_pictures(bundle: Path, others: list[Path], tmp_path: Path) -> None:
    folder, single = tmp_path / "board", tmp_path / "single"
    found = merge([bundle, others[0]], folder)
    merge([bundle], single)
    gone = json.loads(members_of(others[0])["bundle.json"])["checksum"][:12]
    assert gone in found.added
    shutil.rmtree(folder / "entries" / gone)
    merge([], folder)
    assert files_of(folder) == files_of(single)


def test_names_of_strangers_change_neither_markdown_nor_tables(bundle: Path, tmp_path: Path) -> None:
    merge([nasty(bundle, tmp_path / "nasty.zip")], tmp_path / "board")
    text = (tmp_path / "board" / "leaderboard.md").read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "](javascript" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.replace("\\|", "").count("|") for line in lines}
    assert widths == {lines[0].count("|")}, "no name makes another cell"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\uff1d1"])
def test_no_cell_of_a_csv_file_is_a_formula(bundle: Path, tmp_path: Path, name: str) -> None:
    merge(
        [changed(bundle, tmp_path / "formula.zip", submission=lambda old: structs.replace(old, author=Author(name=name)))], tmp_path / "b"
    )
    rows = [*csv.DictReader(io.StringIO((tmp_path / "b" / "leaderboard.csv").read_text()))]
    assert {row["author"] for row in rows} == {f"'{name.strip()}"}
    assert all(float(row["ap"]) >= 0 for row in rows)
    assert any(row["difference"].startswith("-") for row in rows), "a negative number is no formula"


@pytest.mark.parametrize("name", ["leaderboards.md", "leaderboard-ci.yml"])
def test_the_commands_of_the_documents_are_commands(name: str) -> None:
    commands = re.findall(r"(?:^|[ ;])synthbench ((?:bundle|verify|leaderboard) [^\n;#`]*[\w\"}])", (DOCS / name).read_text(), re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        words = [word for word in shlex.split(command) if word not in ("$DATA", "BUNDLE...")]
        assert parser().parse_args(words).command.partition(":")[2] in ("bundle_command", "verify_command", "command")


def test_what_the_submitter_says_of_the_weights_is_on_the_board(bundle: Path, tmp_path: Path) -> None:
    assert main(["bundle", str(bundle.parent / "reports" / "squares.json"), "-o", str(tmp_path / "said.zip"), "--store",
                 str(bundle.parent / "store"), "--weights-saw-data", "yes"]) == 0  # fmt: skip
    merge([tmp_path / "said.zip", bundle], tmp_path / "board")
    assert {row["weights_saw_data"] for row in rows_of(tmp_path / "board") if row["kind"] == "generated"} == {"yes", "unknown"}


def test_a_receipt_names_no_folder_of_the_maintainer(bundle: Path, tmp_path: Path) -> None:
    found = verify(bundle)
    assert receipt_of(found).against == "the true boxes in the bundle"
    with_data = receipt_of(dataclasses.replace(found, against="the true boxes in /home/me/bundles"))
    assert with_data.against == "the maintainer's copy of the data"
