"""Results: one typed value, the same in a file, and older versions are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs
from synthbench.reporting.answer import first_sentence
from synthbench.reporting.scores import Scores
from synthbench.results.files import SCHEMA_FILE, json_schema, read_results, write_results

REPORTS = sorted((Path(__file__).parents[1] / "reports").glob("*.json"))
OLD = Path(__file__).parent / "fakes" / "results-of-schema-1.json"  # a report of before there were replicates


@pytest.mark.parametrize("path", [*REPORTS, OLD], ids=lambda path: path.stem)
def test_committed_results_are_read_whatever_version_wrote_them(path: Path, tmp_path: Path) -> None:
    results = read_results(path)
    old = json.loads(path.read_text())
    assert [cell.metrics for cell in results.cells] == [cell["metrics"] for cell in old["cells"]]
    assert len(results.rows()) == len(results.cells)
    assert results.rows()[0]["AP"] == old["cells"][0]["metrics"]["AP"]
    assert all(row["images"] > 0 for row in results.rows())
    assert first_sentence(results).endswith((".", ":"))
    write_results(tmp_path / "again.json", results)
    assert read_results(tmp_path / "again.json") == results


def test_learning_curves_are_stored_with_a_training(tmp_path: Path) -> None:
    results = read_results(OLD)
    cell = next(cell for cell in results.cells if cell.training is not None)
    assert cell.training is not None
    assert cell.training.curves == {}, "earlier results have none"
    curves = {"loss": [(1, 0.5), (2, 0.25)]}
    with_curve = structs.replace(cell, training=structs.replace(cell.training, curves=curves))
    write_results(tmp_path / "again.json", structs.replace(results, cells=[with_curve]))
    (again,) = read_results(tmp_path / "again.json").cells
    assert again.training is not None
    assert again.training.curves == curves


def test_the_schema_in_the_repository_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema(), "renew it: uv run python -m synthbench.results.files"


def test_trainings_of_earlier_results_with_other_seeds_all_count(tmp_path: Path) -> None:
    old = json.loads(OLD.read_text())
    first = [cell for cell in old["cells"] if cell["training_set"] in ("real", "references")]
    second = [{**cell, "seed": 1, "metrics": {**cell["metrics"], "AP": cell["metrics"]["AP"] / 2}} for cell in first]
    old["cells"] = [*first, *second, *second[:1]]  # a suite could draw one row more often than another
    old["suite"]["seeds"] = [0, 1]
    (tmp_path / "old.json").write_text(json.dumps(old))
    results = read_results(tmp_path / "old.json")
    assert [cell.replicate for cell in results.cells] == [0] * len(first) + [1] * len(second) + [2]
    scores = Scores(results)
    row, detector = first[0]["training_set"], first[0]["detector"]
    ap = first[0]["metrics"]["AP"]
    level, base = scores.level(row, detector), scores.level("references", detector)
    assert level is not None
    assert base is not None
    assert level.mean == pytest.approx((ap + ap / 2 + ap / 2) / 3)
    gap = scores.difference("references", detector, row)
    assert gap is not None
    assert gap.mean == pytest.approx(base.mean - level.mean), "of the means, since nothing says which trainings belong together"
    assert gap.low is None
