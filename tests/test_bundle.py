"""Bundles: the same bytes each time, every number scored again, and nothing believed of what strangers send."""

from __future__ import annotations

import hashlib
import io
import json
import math
import random
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import synthbench
from msgspec import structs
from synthbench import Boxes, SynthbenchError
from synthbench.cli import main
from synthbench.publishing.opening import Bundle
from synthbench.publishing.predictions import RECORD, decode_predictions, encode_predictions
from synthbench.publishing.rescoring import compare, score_again
from synthbench.publishing.submission import Author, Member, Submission
from synthbench.publishing.truth import Truth, may_be_passed_on
from synthbench.publishing.verifying import verify
from synthbench.publishing.writing import DATE, pack, write_bundle
from synthbench.results.model import Results
from synthbench.storage.local import LocalStore
from synthbench_fakes import SUITE

Members = dict[str, bytes]
CHANGES = 2000  # of one number in a bundle whose hashes are right
FLIPS = 2000  # of one byte


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the squares with three replicates, beside their store."""
    folder = tmp_path_factory.mktemp("bundled")
    changes = ["replicates=3", "data.test=8"]
    synthbench.run(SUITE, changes=changes, store=folder / "store", out=folder / "reports", device="cpu", in_process=True)
    return folder / "reports" / "squares.json"


@pytest.fixture(scope="module")
def bundle(report: Path) -> Path:
    return written(report, report.parent / "squares.zip")


def written(report: Path, path: Path, *, with_truth: bool | None = None) -> Path:
    store = LocalStore(report.parents[1] / "store")
    write_bundle(pack(report, store, list(store.contents()), Author(name="A. Person", date="2026-01-31"), with_truth=with_truth), path)
    return path


def members_of(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sealed(members: Members, path: Path) -> Path:
    """A bundle of other members, with hashes as they should be: what a forger would send."""
    submission = msgspec.json.decode(members["bundle.json"], type=Submission)
    others = {name: content for name, content in members.items() if name != "bundle.json"}
    stated = {name: Member(len(content), hashlib.sha256(content).hexdigest()) for name, content in others.items()}
    return zipped({**others, "bundle.json": msgspec.json.encode(structs.replace(submission, members=stated).sealed)}, path)


def zipped(members: Members, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_bundle_is_the_same_file_each_time(report: Path, bundle: Path, tmp_path: Path) -> None:
    assert written(report, tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        assert archive.namelist() == sorted(archive.namelist())
        assert {info.date_time for info in archive.infolist()} == {DATE}


def test_all_numbers_of_an_honest_bundle_hold(report: Path, bundle: Path) -> None:
    found = verify(bundle)
    assert found.level == "re-scored"
    assert not found.problems
    results = json.loads(report.read_bytes())
    assert found.rescored
    assert found.rescored.cells == len(results["cells"]) == 3 * 2 * 5
    assert found.rescored.numbers > 12 * found.rescored.cells, "the cells' figures and the evidence"
    assert found.submission.author.name == "A. Person"


def test_a_bundle_counts_the_scores_on_its_test_set(report: Path, bundle: Path) -> None:
    store = LocalStore(report.parents[1] / "store")
    with Bundle(bundle) as opened:
        distinct = {cell.keys.score for cell in opened.results.cells}
        assert opened.submission.tries.report == len(distinct)
        assert opened.submission.tries.store == sum(kind == "score" for kind, _ in store.contents()) >= len(distinct)
        sampled = [stage for stage in opened.artifacts.values() if stage.kind == "sample"]
        assert sampled
        assert all(any(name.startswith("images/") for name in stage.files) for stage in sampled)


def test_without_the_truth_nothing_is_scored_and_no_real_image_is_shown(report: Path, bundle: Path, tmp_path: Path) -> None:
    bare = written(report, tmp_path / "bare.zip", with_truth=False)
    found = verify(bare)
    assert (found.level, found.rescored) == ("self-reported", None)
    names = {*members_of(bare)}
    assert "truth.json" not in names
    assert not any("/test-" in name for name in names)
    assert any("/test-" in name for name in members_of(bundle))
    tiles = json.loads(members_of(bare)["pictures/tiles.json"])
    assert {row["title"] for row in tiles["samples"]} == {"paint x native", "paint x teacher"}
    assert not tiles["predictions"]
    assert not tiles.get("opposed")


@pytest.mark.parametrize(
    ("license", "allowed"),
    [
        ("CC BY 4.0", True),
        ("CC-BY-4.0", True),
        ("CC0-1.0", True),
        ("https://creativecommons.org/licenses/by/4.0/", True),
        ("CC BY-SA 4.0", True),
        ("Apache-2.0", True),
        ("CC BY-NC 4.0", False),
        ("CC BY-NC-SA 4.0", False),
        ("CC BY-ND 4.0", False),
        ("https://creativecommons.org/licenses/by-nc/3.0/", False),
        ("CC BY 4.0 and CC BY-NC 4.0", False),
        ("Creative Commons Attribution Non-Commercial", False),
        ("all rights reserved", False),
        ("", False),
    ],
)
def test_truth_is_passed_on_only_under_licences_that_allow_it(license: str, allowed: bool) -> None:
    assert may_be_passed_on(license) is allowed


def test_the_fingerprint_is_of_boxes_and_not_of_names(bundle: Path) -> None:
    truth = msgspec.json.decode(members_of(bundle)["truth.json"], type=Truth)
    renamed = structs.replace(truth, images=[structs.replace(image, name="other") for image in truth.images])
    assert renamed.fingerprint == truth.fingerprint
    moved = structs.replace(truth.images[0], boxes=[(0.0, 0.0, 1.0, 1.0 + 1e-12), *truth.images[0].boxes[1:]])
    assert structs.replace(truth, images=[moved, *truth.images[1:]]).fingerprint != truth.fingerprint
    assert structs.replace(truth, images=truth.images[::-1]).fingerprint != truth.fingerprint


def test_the_command_line_packs_and_checks(report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "x.zip"
    assert main(["bundle", str(report), "-o", str(made), "--store", str(report.parents[1] / "store"), "--by", "A. Person"]) == 0
    said = capsys.readouterr().out
    assert "predictions on the test images" in said
    assert "scores on this test set" in said
    assert main(["verify", str(made)]) == 0
    assert "re-scored with the true boxes in the bundle: all" in capsys.readouterr().out
    members = members_of(made)
    results = json.loads(members["results.json"])
    results["cells"][3]["metrics"]["AP50"] += 0.001
    forged = sealed({**members, "results.json": json.dumps(results).encode()}, tmp_path / "forged.zip")
    assert main(["verify", str(forged)]) == 1
    said = capsys.readouterr().out
    assert "does not hold: cells[3].metrics.AP50" in said
    assert "re-scored" not in said


def test_data_of_ones_own_is_compared(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(SynthbenchError, match="leave --data away"):
        verify(bundle, tmp_path / "data")


Change = Callable[[Any], None]


def set_metric(name: str, value: float) -> Change:
    def change(results: Any) -> None:
        results["cells"][0]["metrics"][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (set_metric("AP", 0.999), r"cells\[0\].metrics.AP"),
        (set_metric("AP_of_my_own", 0.5), r"cells\[0\].metrics.AP_of_my_own"),
        (lambda results: results["cells"][1]["metrics"].pop("AP75"), r"cells\[1\].metrics.AP75"),
        (lambda results: results["evidence"]["verdicts"][0].update(word="replaces", level=0.04), r"evidence.verdicts\[0\]"),
        (lambda results: results["evidence"]["levels"][2]["figure"].update(low=0.0), r"evidence.levels\[2\].figure.low"),
        (lambda results: results["suite"].update(margin=0.9), "evidence.margin"),
        (lambda results: results.update(evidence=None), "evidence"),
    ],
)
def test_a_changed_number_is_named_with_its_place(bundle: Path, tmp_path: Path, change: Change, place: str) -> None:
    members = members_of(bundle)
    results = json.loads(members["results.json"])
    change(results)
    found = verify(sealed({**members, "results.json": json.dumps(results).encode()}, tmp_path / "x.zip"))
    assert found.level == "self-reported"
    assert any(re.match(place, problem) for problem in found.problems), found.problems


def wrong_predictions(*records: tuple[int, int, float, tuple[float, float, float, float]]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array(list(records), RECORD), version=(1, 0))
    return file.getvalue()


def array(values: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(values), **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (wrong_predictions((0, 0, math.nan, (0, 0, 1, 1))), "not a finite number"),
        (wrong_predictions((0, 0, 0.5, (0, 0, math.inf, 1))), "not a finite number"),
        (wrong_predictions((0, 0, 0.5, (0, 0, 41, 1))), "outside of its image"),
        (wrong_predictions((0, 0, 0.5, (-1, 0, 4, 1))), "outside of its image"),
        (wrong_predictions((0, 0, 0.5, (9, 0, 4, 1))), "corners are exchanged"),
        (wrong_predictions((8, 0, 0.5, (0, 0, 1, 1))), "boxes of image 8, but there are 8"),
        (wrong_predictions((1, 0, 0.5, (0, 0, 1, 1)), (0, 0, 0.5, (0, 0, 1, 1))), "comes twice"),
        (wrong_predictions((0, 1, 0.5, (0, 0, 1, 1))), "a label is not one of 1"),
        (array(np.zeros(3)), "no array of boxes"),
        (array(np.array([object()]), allow_pickle=True), "no array of boxes"),
        (array(np.zeros((2, 2), RECORD)), "no array of boxes"),
        (wrong_predictions((0, 0, 0.5, (0, 0, 1, 1)))[:-8], "another length"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': 1e999}", "no array of boxes"),
        (b"PK\x03\x04", "no array of boxes"),
        (b"", "no array of boxes"),
    ],
)
def test_predictions_that_cannot_be_are_refused(bundle: Path, tmp_path: Path, content: bytes, problem: str) -> None:
    members = members_of(bundle)
    name = next(name for name in members if name.startswith("predictions/"))
    with pytest.raises(SynthbenchError, match=problem) as caught:
        verify(sealed({**members, name: content}, tmp_path / "x.zip"))
    assert name in str(caught.value)


def borrowed_scores(results: Any) -> None:
    """One set's cells name the scores of the real images', and keep their own predictions."""
    real = {(cell["detector"], cell["replicate"]): cell for cell in results["cells"] if cell["training_set"] == "real"}
    for cell in results["cells"]:
        if cell["training_set"] == "paint x native":
            cell["keys"]["score"] = real[cell["detector"], cell["replicate"]]["keys"]["score"]
    results["cells"].sort(key=lambda cell: cell["training_set"] == "real")


def two_real_rows(results: Any) -> None:
    worst = [cell for cell in results["cells"] if cell["training_set"] == "paint x native"]
    results["training_sets"].append({"name": "real (b)", "kind": "real"})
    results["cells"] += [{**cell, "training_set": "real (b)"} for cell in worst]


def one_training_thrice(results: Any) -> None:
    cells = [cell for cell in results["cells"] if (cell["training_set"], cell["detector"]) == ("paint x native", "strict")]
    for cell in cells[1:]:
        cell.update({name: cells[0][name] for name in ("keys", "metrics", "training")})


def without_the_worst(results: Any) -> None:
    mine = [cell for cell in results["cells"] if (cell["training_set"], cell["detector"]) == ("paint x native", "strict")]
    results["cells"].remove(min(mine, key=lambda cell: cell["metrics"]["AP"]))


def more_replicates(results: Any) -> None:
    mine = next(cell for cell in results["cells"] if (cell["training_set"], cell["detector"]) == ("paint x native", "strict"))
    results["cells"] += [{**mine, "replicate": number} for number in range(3, 30)]


def no_rival(results: Any) -> None:
    results["suite"]["generators"][0]["rival"] = not results["suite"]["generators"][0]["rival"]


def paid_for_it(results: Any) -> None:
    results["costs"]["paint x native"]["fit"] = -1e6


def more_test_boxes(results: Any) -> None:
    results["data"]["test"]["boxes"] += 1000


def nobody(results: Any) -> None:
    next(each for each in results["training_sets"] if each["kind"] == "generated")["generator"] = "nobody"


@pytest.mark.parametrize(
    ("forge", "problem"),
    [
        (borrowed_scores, "also those of another training"),
        (two_real_rows, "2 of the kind 'real'"),
        (one_training_thrice, "or of other seeds"),
        (without_the_worst, "is there 0 times"),
        (more_replicates, "is none of the suite's"),
        (no_rival, "rival is"),
        (paid_for_it, "less than no seconds"),
        (more_test_boxes, "the test set has"),
        (nobody, "is not in the suite"),
    ],
)
def test_what_predictions_cannot_tell_must_not_contradict_itself(bundle: Path, tmp_path: Path, forge: Change, problem: str) -> None:
    members = members_of(bundle)
    results = json.loads(members["results.json"])
    forge(results)
    found = verify(sealed({**members, "results.json": json.dumps(results).encode()}, tmp_path / "x.zip"))
    assert found.level == "self-reported"
    assert any(problem in each for each in found.problems), found.problems


def test_fewer_tries_than_scores_are_a_contradiction(bundle: Path, tmp_path: Path) -> None:
    members = members_of(bundle)
    submission = msgspec.json.decode(members["bundle.json"], type=Submission)
    fewer = structs.replace(submission, tries=structs.replace(submission.tries, report=1, store=0)).sealed
    found = verify(zipped({**members, "bundle.json": msgspec.json.encode(fewer)}, tmp_path / "x.zip"))
    assert any("tries" in each for each in found.problems)


def test_predictions_are_exact() -> None:
    images = [
        Boxes.of(np.array([[0.1, 0, 3.3, 7], [1, 1, 2, 2]]), [1, 0], [0.3, 0.7]),
        Boxes.none(),
        Boxes.of(np.array([[0, 0, 1 / 3, 9]]), [0], [1e-9]),
    ]
    found = decode_predictions(encode_predictions(images), [(9, 9)] * 3, 2)
    for one, other in zip(images, found, strict=True):
        assert one.xyxy.tolist() == other.xyxy.tolist()
        assert one.scores.tolist() == other.scores.tolist()
        assert one.labels.tolist() == other.labels.tolist()


def linked(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("pictures/link.png")
    info.external_attr = 0o120777 << 16
    archive.writestr(info, "/etc/passwd")


def bomb(archive: zipfile.ZipFile) -> None:
    archive.writestr("pictures/bomb.png", b"\0" * (2**28 + 1))


@pytest.mark.parametrize(
    ("add", "problem"),
    [
        (lambda archive: archive.writestr("../out.txt", "x"), "not a name that a member"),
        (lambda archive: archive.writestr("/etc/x", "x"), "not a name that a member"),
        (lambda archive: archive.writestr("pictures/..png", "x"), "not a name that a member"),
        (lambda archive: archive.writestr("pictures/a\nb.png", "x"), "not a name that a member"),
        (lambda archive: archive.writestr("pictures/<script>.png", "x"), "not a name that a member"),
        (lambda archive: archive.writestr("pictures/more.png", "x"), "is not one of the members"),
        (lambda archive: archive.writestr("results.json", "{}"), "is there twice"),
        (linked, "is not a file but a link"),
        (bomb, "bytes are too many"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_do_not_belong_are_refused(bundle: Path, tmp_path: Path, add: Callable[[zipfile.ZipFile], None], problem: str) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(bundle.read_bytes())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        add(archive)
    with pytest.raises(SynthbenchError, match=problem):
        verify(path)
    assert sorted(tmp_path.iterdir()) == [path], "nothing is unpacked"


@pytest.mark.parametrize("name", ["bundle.json", "results.json", "truth.json", "artifacts.json"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", ""),
        (b"[]", ""),
        (b"{}", ""),
        (b"[" * 100_000, ""),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": 1, "a": 2}', "the key 'a' is there twice"),
        (b"\xff\xfe", ""),
        (b'{"schema": ' + b"9" * 5000 + b"}", ""),
        (b'{"schema": 99999999999999999}', "is too large a number"),
        (b'{"schema": "\\ud800"}', "half of a character"),
    ],
)
def test_json_that_cannot_be_is_refused(bundle: Path, tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    members = members_of(bundle)
    path = tmp_path / "x.zip"
    if name == "bundle.json":
        zipped({**members, name: content}, path)
    else:
        sealed({**members, name: content}, path)
    with pytest.raises(SynthbenchError, match=problem or ".") as caught:
        verify(path)
    assert name in str(caught.value)


def test_what_is_no_bundle_is_said(tmp_path: Path, bundle: Path) -> None:
    for content in (b"", b"hello", bundle.read_bytes()[:-100]):
        (tmp_path / "x.zip").write_bytes(content)
        with pytest.raises(SynthbenchError, match=r"x\.zip: no bundle that can be opened"):
            verify(tmp_path / "x.zip")
    with pytest.raises(SynthbenchError, match="no bundle"):
        verify(tmp_path)
    members = members_of(bundle)
    for name in ("bundle.json", "results.json", "truth.json"):
        others = {each: content for each, content in members.items() if each != name}
        with pytest.raises(SynthbenchError, match=f"{name}: is missing"):
            verify(zipped(others, tmp_path / "x.zip"))


def test_one_changed_byte_is_found(bundle: Path, tmp_path: Path) -> None:
    """What a flipped byte leaves readable has the same content: it was in a date or the like."""
    content, path, chance = bundle.read_bytes(), tmp_path / "x.zip", random.Random(0)
    members = members_of(bundle)
    refused = 0
    for _ in range(FLIPS):
        place = chance.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ chance.randrange(1, 256)]) + content[place + 1 :])
        try:
            with Bundle(path) as opened:
                opened.check()
                found = {name: opened.read(name) for name in opened.submission.members}
                assert found == {name: each for name, each in members.items() if name != "bundle.json"}
                assert opened.submission == msgspec.json.decode(members["bundle.json"], type=Submission)
        except SynthbenchError:
            refused += 1
    assert refused > FLIPS * 0.9


def numbers_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers_in(each, (*path, key))
    elif isinstance(value, float):
        yield path


def test_no_number_that_was_changed_and_sealed_again_is_verified(bundle: Path, tmp_path: Path) -> None:
    members, chance = members_of(bundle), random.Random(0)
    with Bundle(bundle) as opened:
        assert opened.truth
        right = score_again(opened, opened.truth)
    results = json.loads(members["results.json"])
    places = [("cells", number, "metrics", name) for number, cell in enumerate(results["cells"]) for name in cell["metrics"]]
    places += [("evidence", *path) for path in numbers_in(results["evidence"])]
    for place in chance.choices(places, k=CHANGES):
        spot: Any = results
        for key in place[:-1]:
            spot = spot[key]
        value = spot[place[-1]]
        spot[place[-1]] += chance.choice([-1, 1]) * 10 ** chance.uniform(-8, 1) * max(1, abs(value))
        assert compare(msgspec.convert(results, Results), right).wrong, place
        spot[place[-1]] = value
    assert not compare(msgspec.convert(results, Results), right).wrong


def test_a_box_that_was_moved_and_sealed_again_is_found(bundle: Path, tmp_path: Path) -> None:
    members = members_of(bundle)
    found = 0
    for name in [name for name in members if name.startswith("predictions/")]:
        records = np.lib.format.read_array(io.BytesIO(members[name])).copy()
        if not len(records):
            continue
        records["xyxy"][:, 2] = records["xyxy"][:, 0] + (records["xyxy"][:, 2] - records["xyxy"][:, 0]) / 2  # half as wide
        file = io.BytesIO()
        np.lib.format.write_array(file, records, version=(1, 0))
        assert verify(sealed({**members, name: file.getvalue()}, tmp_path / "x.zip")).problems, name
        found += 1
        if found == 3:
            break
    assert found == 3
