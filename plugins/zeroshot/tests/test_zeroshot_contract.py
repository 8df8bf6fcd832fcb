"""The contract's checks, with small models that have random weights."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from synthbench.testing import contract

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


test_owlv2 = contract("annotator", "owlv2", weights=WEIGHTS["owlv2"])
test_grounding_dino = contract("annotator", "grounding-dino", weights=WEIGHTS["mm-grounding-dino"])
test_sam2 = contract("annotator", "sam2", weights=WEIGHTS["sam2"], annotator="another")
