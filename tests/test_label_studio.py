"""Labels by people with a real Label Studio, started as the instructions of a batch say, on loopback.

    uv run pytest -m slow tests/test_label_studio.py

`SYNTHBENCH_LABEL_STUDIO` names the `label-studio` to use; without it one is installed with uv into an environment of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from people import Bench
from synthbench.cli import main
from synthbench.labelling.answers import read_answers
from synthbench.labelling.batch import read_batch
from synthbench.labelling.export import start_command
from synthbench.results.files import read_results

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
VERSION = "1.23.2"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
STARTED = 1800  # seconds: it sets up a database, on a machine that may have other work


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A suite that waits for people, after its first run in worker processes."""
    bench = Bench(tmp_path_factory.mktemp("studio"))
    assert main([*run_command(bench)]) == 3
    return bench


def run_command(bench: Bench) -> list[str]:
    folders = ["--store", str(bench.folder / "store"), "--out", str(bench.folder / "out"), *bench.options]
    return ["run", str(bench.suite), *folders, "--device", "cpu"]


@pytest.fixture(scope="module")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program."""
    if named := os.environ.get("SYNTHBENCH_LABEL_STUDIO"):
        return Path(named)
    if (uv := shutil.which("uv")) is None:
        pytest.skip("uv, which installs Label Studio, is not there")
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "-q", "--python", str(folder / "bin" / "python"), f"label-studio=={VERSION}"]
    if (done := subprocess.run(install, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"Label Studio cannot be installed: {done.stderr[-300:]}")
    return folder / "bin" / "label-studio"


class Studio:
    """A Label Studio that runs, through its HTTP API."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, path: str, content: object = None) -> bytes:
        """What it answers to a request: POST if there is content, else GET."""
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        data = None if content is None else json.dumps(content).encode()
        with urllib.request.urlopen(urllib.request.Request(self.address + path, data, headers), timeout=300) as answer:
            return bytes(answer.read())

    def json(self, path: str, content: object = None) -> Any:
        return json.loads(self.ask(path, content))


@pytest.fixture(scope="module")
def studio(bench: Bench, label_studio: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """Label Studio, started in the folder of labels by the command of a batch's README, with an account for the test."""
    command = start_command().splitlines()[-1]
    assert command in (bench.batch() / "README.md").read_text()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    account = f"--username a@example.com --password secret-pass-1 --user-token {TOKEN} --enable-legacy-api-token"
    data = tmp_path_factory.mktemp("data")
    environment = os.environ | {
        "PATH": f"{label_studio.parent}{os.pathsep}{os.environ['PATH']}",
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
    }
    with (data / "log").open("w") as log:
        shell = f"{command} --no-browser --internal-host 127.0.0.1 --port {port} {account}"
        process = subprocess.Popen(
            ["bash", "-c", shell], cwd=bench.folder / "labels", env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            running, until = Studio(f"http://127.0.0.1:{port}"), time.monotonic() + STARTED
            while True:
                try:
                    running.json("/api/version")
                    break
                except (urllib.error.URLError, OSError):
                    assert process.poll() is None, (data / "log").read_text()[-2000:]
                    assert time.monotonic() < until, "it did not start"
                    time.sleep(1)
            yield running
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


@pytest.fixture(scope="module")
def project(bench: Bench, studio: Studio) -> int:
    """A project as the README sets it up."""
    batch = bench.batch()
    project = studio.json("/api/projects", {"title": "squares", "label_config": (batch / "label-studio.xml").read_text()})
    studio.json("/api/storages/localfiles", {"project": project["id"], "path": str(batch / "images"), "use_blob_urls": False})
    imported = studio.json(f"/api/projects/{project['id']}/import", json.loads((batch / "label-studio.json").read_text()))
    assert (imported["task_count"], imported["prediction_count"]) == (4, 4)
    return int(project["id"])


def test_boxes_are_drawn_corrected_and_taken(bench: Bench, studio: Studio, project: int, capsys: pytest.CaptureFixture[str]) -> None:
    batch = read_batch(bench.batch())
    tasks = studio.json(f"/api/tasks?project={project}&fields=all")["tasks"]
    assert [task["data"]["synthbench_id"] for task in tasks] == [image.id for image in batch.images]
    for task, image in zip(tasks, batch.images, strict=True):
        assert studio.ask(task["data"]["image"]) == (bench.batch() / image.file).read_bytes(), "it shows the very image"
    assert studio.json(f"/api/projects/{project}")["model_version"] == "native", "predictions are shown to people"

    results = [task["predictions"][0]["result"] for task in tasks]
    results[0][0]["value"]["x"] += 2.5  # a pixel of 40
    results[1] = []  # looked at, and empty
    for number in (0, 1, 2):
        submit(studio, tasks[number]["id"], results[number])
    exported = bench.folder / "export.json"
    exported.write_bytes(studio.ask(f"/api/projects/{project}/export?exportType=JSON&download_all_tasks=true"))
    capsys.readouterr()
    assert main(["label", "import", str(exported), *bench.options]) == 2
    assert "3 of 4 images have an answer, nobody looked at the other 1" in capsys.readouterr().err

    submit(studio, tasks[3]["id"], results[3])
    exported.write_bytes(studio.ask(f"/api/projects/{project}/export?exportType=JSON"))
    assert main(["label", "import", str(exported), *bench.options]) == 0
    answers = read_answers(bench.batch())
    assert answers is not None
    assert [each.seconds for each in answers.answers.values()] == [7.25] * 4
    drawn = [image.drawn.xyxy if image.drawn else [] for image in batch.images]
    assert len(answers.answers[1].boxes.xyxy) == 0
    assert answers.answers[2].boxes.xyxy == [pytest.approx(box, abs=1e-6) for box in drawn[2]]
    x1, y1, x2, y2 = drawn[0][0]
    assert answers.answers[0].boxes.xyxy[0] == pytest.approx((x1 + 1, y1, x2 + 1, y2), abs=1e-6)

    assert main(run_command(bench)) == 0
    (labelled,) = read_results(bench.folder / "out" / "squares.json").labelled
    assert (labelled.answered, labelled.empty, labelled.people_seconds) == (4, 1, 29.0)
    (native,) = labelled.agreement
    assert (native.moved, native.removed, native.added) == (1, len(drawn[1]), 0)


def submit(studio: Studio, task: int, result: object) -> None:
    studio.json(f"/api/tasks/{task}/annotations/", {"result": result, "lead_time": 7.25, "was_cancelled": False})


@pytest.mark.parametrize("kind", ["COCO", "YOLO"])
def test_its_other_exports_are_read_too(bench: Bench, studio: Studio, project: int, kind: str, tmp_path: Path) -> None:
    """They leave out who looked, and give an image another number and another path."""
    (tmp_path / "export.zip").write_bytes(studio.ask(f"/api/projects/{project}/export?exportType={kind}"))
    before = read_answers(bench.batch())
    with zipfile.ZipFile(tmp_path / "export.zip") as packed:
        packed.extractall(tmp_path / "export")
    file = tmp_path / "export" if kind == "YOLO" else tmp_path / "export" / "result.json"
    assert main(["label", "import", str(tmp_path / "export.zip"), *bench.options]) == 2
    assert main(["label", "import", str(file), *bench.options]) == 2, "nobody knows who looked"
    assert main(["label", "import", str(file), "--untouched", "done", *bench.options]) == 0
    after = read_answers(bench.batch())
    assert before is not None
    assert after is not None
    for number, answer in after.answers.items():
        assert answer.boxes.labels == before.answers[number].boxes.labels
        assert answer.boxes.xyxy == [pytest.approx(box, abs=0.01) for box in before.answers[number].boxes.xyxy]
