"""What the tests share: the plugins of `fakes`, found like any installed distribution, and plans made of them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from synthbench.planning.plan import Plan
    from synthbench.storage.local import LocalStore

FAKES = str(Path(__file__).parent / "fakes")
sys.path.insert(0, FAKES)
# By this, processes that tests start find the plugins too.
os.environ["PYTHONPATH"] = os.pathsep.join([FAKES, *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The secret that says whose store is whose: not this user's own. One folder for all test processes.
os.environ["XDG_DATA_HOME"] = os.environ.get("SYNTHBENCH_TEST_DATA_HOME") or tempfile.mkdtemp(prefix="synthbench-tests-")
os.environ["SYNTHBENCH_TEST_DATA_HOME"] = os.environ["XDG_DATA_HOME"]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    from synthbench.storage.local import LocalStore

    return LocalStore(tmp_path / "store")


@pytest.fixture
def plan_of(store: LocalStore) -> Callable[..., Plan]:
    """Makes the plan of the suite of squares with `--set` changes."""
    from synthbench.planning.making import make_plan
    from synthbench.registry import installed
    from synthbench.suite.reader import read_suite
    from synthbench_fakes import SUITE

    def plan_of(*changes: str, store: LocalStore = store) -> Plan:
        return make_plan(read_suite(SUITE, installed(), changes), installed(), store)

    return plan_of


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder that looks like a data set, as far as a plan looks."""
    import json

    from synthbench.contract.types import Boxes, ImageSet, Picture
    from synthbench.storage.coco import annotations_of

    (tmp_path / "photos").mkdir()
    held = annotations_of(ImageSet(("apple",), (Picture(Path("a.jpg"), 8, 8, Boxes.of([[0, 0, 4, 4]])),)))
    for split in ("train", "test"):
        (tmp_path / "photos" / f"{split}.json").write_text(json.dumps(held))
    return tmp_path / "photos"


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a bucket on a server that speaks S3's protocol, on this machine."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**names, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_EC2_METADATA_DISABLED": "true"}.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="tests")
        yield "s3://tests"
    server.stop()
