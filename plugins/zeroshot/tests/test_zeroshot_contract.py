"""The contract's checks, with small models that have random weights."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from synthbench.testing import Check, checks_of, contract
from synthbench.testing.bench import Bench
from synthbench.testing.checklist import run_check

pytestmark = pytest.mark.slow  # minutes; without weights, only the path to the results is the real one

FOLDER = tempfile.TemporaryDirectory(prefix="zeroshot")  # named here, since the checks' options are, and filled when they run
WEIGHTS = {kind: str(Path(FOLDER.name) / kind) for kind in ("mm-grounding-dino", "owlv2", "sam2")}


@pytest.fixture(scope="module", autouse=True)
def weights() -> Iterator[None]:
    from synthbench_zeroshot.testing import write_checkpoint

    write_checkpoint("mm-grounding-dino", Path(WEIGHTS["mm-grounding-dino"]))
    write_checkpoint("owlv2", Path(WEIGHTS["owlv2"]))
    write_checkpoint("sam2", Path(WEIGHTS["sam2"]))
    yield
    FOLDER.cleanup()


test_owlv2 = contract("annotator", "owlv2", weights=WEIGHTS["owlv2"], score_threshold=0.0)
test_grounding_dino = contract("annotator", "grounding-dino", weights=WEIGHTS["mm-grounding-dino"], score_threshold=0.0)
test_sam2 = contract("annotator", "sam2", weights=WEIGHTS["sam2"], annotator="another")

NEEDS_LEARNING = ("learns", "labels")  # from random weights, it takes thousands of steps


@pytest.fixture(scope="module")
def bench(weights: None) -> Iterator[Bench]:
    options = {"weights": WEIGHTS["mm-grounding-dino"], "max_train_steps": 3, "learning_rate": 1e-2, "score_threshold": 0.0}
    with Bench("detector", "grounding-dino", options) as made:
        yield made


@pytest.mark.parametrize("check", [each for each in checks_of("detector") if each.name not in NEEDS_LEARNING], ids=lambda each: each.name)
def test_detector(check: Check, bench: Bench) -> None:
    result = run_check(check, bench)
    if result.status == "skipped":
        pytest.skip(result.reason)
    assert result.status == "passed", (result.reason, result.place, result.trace)
