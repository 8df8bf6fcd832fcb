"""Fetching: going on after a break, checksums, what is told and recorded; unpacking stays in its folder."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from synthbench import Remote, RemoteFile, SynthbenchError, unpack
from synthbench.contract import fetching
from synthbench.contract.fetching import fetch, mirrored
from synthbench.contract.remote import Record
from synthbench.execution.stage_run import StageRun
from synthbench.testing.loopback import Loopback, serving

CONTENT = bytes(range(256)) * 20_000  # 5.1 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PAUSE", 0.0)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Loopback]:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/a.bin").write_bytes(CONTENT)
    with serving(tmp_path / "there") as loopback:
        yield loopback


def file(loopback: Loopback, name: str = "a.bin", digest: str = f"sha256:{SHA256}", size: int = 0) -> RemoteFile:
    return RemoteFile(name=name, address=f"{loopback.address}/{name}", digest=digest, size=size)


def test_a_file_is_fetched_with_progress_and_checked(there: Loopback, tmp_path: Path) -> None:
    events: list[dict[str, object]] = []
    run = StageRun(tmp_path, emit=events.append, offline=False)
    fetch(file(there, size=len(CONTENT)), tmp_path / "here/a.bin", run)
    assert (tmp_path / "here/a.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["a.bin"]
    assert events[-1] | {"label": "fetch a.bin", "done": 5, "total": 5, "unit": "MB"} == events[-1]
    fetch(file(there), tmp_path / "here/a.bin", run)
    assert len(there.asked) == 1, "what is there is not fetched again"


def test_a_broken_connection_goes_on_where_it_was(there: Loopback, tmp_path: Path) -> None:
    there.breaks["/a.bin"] = [2_000_000, 1_000_000]
    fetch(file(there), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert [wanted for _, wanted in there.asked] == ["", "bytes=2000000-", "bytes=3000000-"]


def test_a_connection_that_keeps_breaking_is_told_and_the_next_run_goes_on(there: Loopback, tmp_path: Path) -> None:
    there.breaks["/a.bin"] = [3_000_000, *[0] * 5]
    with pytest.raises(SynthbenchError, match=r"cannot be downloaded .*; 2\.9 of 4\.9 MB is kept, so run again to go on"):
        fetch(file(there), tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()
    fetch(file(there), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert there.asked[-1] == ("/a.bin", "bytes=3000000-")


def test_a_server_without_ranges_is_asked_for_all_again(there: Loopback, tmp_path: Path) -> None:
    there.plain = True
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    fetch(file(there), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_file_that_changed_between_two_attempts_is_not_mixed(there: Loopback, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"of another file")
    with pytest.raises(SynthbenchError, match=r"its SHA256 is .* another one, or it was altered on its way"):
        fetch(file(there), tmp_path / "a.bin")
    assert not (tmp_path / "a.bin.part").exists(), "so that the next attempt starts anew"
    (tmp_path / "a.bin.part").write_bytes(b"of another file")
    fetch(file(there, digest=""), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT, "nothing would tell, so it starts anew"
    assert there.asked[-1] == ("/a.bin", "")


def test_a_complete_part_is_not_fetched_again(there: Loopback, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    fetch(file(there), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert there.asked == [("/a.bin", f"bytes={len(CONTENT)}-")]


@pytest.mark.parametrize(
    ("digest", "size", "message"),
    [
        ("sha256:0123", 0, f"its SHA256 is {SHA256}, not 0123"),
        ("md5:0123", 0, f"its MD5 is {hashlib.md5(CONTENT).hexdigest()}, not 0123"),
        ("", 12, f"the file there has {len(CONTENT)} bytes, not 12"),
    ],
)
def test_a_wrong_file_is_refused(there: Loopback, tmp_path: Path, digest: str, size: int, message: str) -> None:
    with pytest.raises(SynthbenchError, match=message):
        fetch(file(there, digest=digest, size=size), tmp_path / "here/a.bin")
    assert not [*(tmp_path / "here").iterdir()]


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(there: Loopback, tmp_path: Path) -> None:
    there.statuses["/a.bin"] = [503, 429]
    fetch(file(there), tmp_path / "a.bin")
    assert len(there.asked) == 3
    with pytest.raises(SynthbenchError, match=r"b\.bin: cannot be downloaded \(404"):
        fetch(file(there, "b.bin"), tmp_path / "b.bin")
    assert len(there.asked) == 4


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(SynthbenchError, match=r"http://127\.0\.0\.1:9/x: cannot be downloaded \(.*refused"):
        fetch(RemoteFile(name="x", address="http://127.0.0.1:9/x"), tmp_path / "x")


def test_a_mirror_stands_for_every_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mirrored("https://example.org/a/b") == "https://example.org/a/b"
    monkeypatch.setenv("SYNTHBENCH_MIRROR", "http://127.0.0.1:80/all/")
    assert mirrored("https://example.org/a/b") == "http://127.0.0.1:80/all/a/b"


def remote(loopback: Loopback, *files: RemoteFile) -> Remote:
    return Remote(name="toy", title="Toy data", files=files or [file(loopback)], license="CC0-1.0", terms="Do as you like.")


def copy(downloads: Path, folder: Path) -> None:
    for path in downloads.iterdir():
        (folder / path.name).write_bytes(path.read_bytes()[:10])


def test_data_are_told_fetched_once_and_recorded(there: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHBENCH_DATA", str(tmp_path / "data"))
    (tmp_path / "there/b.bin").write_bytes(b"something")
    toy = remote(there, file(there), file(there, "b.bin", ""))
    assert toy.told().startswith("Toy data: fetches 2 files from 127.0.0.1")
    assert toy.told().endswith("Licence: CC0-1.0. Do as you like.")
    run = StageRun(tmp_path, offline=False)
    assert (toy.ready(run, copy) / "a.bin").read_bytes() == CONTENT[:10]
    assert not toy.missing
    assert run.notes[0] == "Toy data: licence CC0-1.0. Do as you like."
    assert "1 of 2 files have the checksums" in run.notes[1]
    assert f"{hashlib.sha256(b'something').hexdigest()} (b.bin)" in run.notes[2]
    assert "no checksum is known" in run.notes[2]
    record = msgspec.json.decode((tmp_path / "data/toy/record.json").read_bytes(), type=Record)
    assert record.fetched["a.bin"].checked == f"sha256:{SHA256}"
    assert record.fetched["b.bin"].checked == ""
    offline = StageRun(tmp_path)
    toy.ready(offline, copy)
    assert len(there.asked) == 2
    assert offline.notes == run.notes
    (tmp_path / "data/toy/files/b.bin").write_bytes(b"altered")
    with pytest.raises(SynthbenchError, match=r"b\.bin: is not what it was when it was fetched: delete .*toy and run with --download"):
        toy.ready(offline, copy)


def test_data_are_not_fetched_unasked_and_may_be_put_there_by_hand(
    there: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTHBENCH_DATA", str(tmp_path / "data"))
    toy = remote(there)
    downloads = tmp_path / "data/toy/downloads"
    with pytest.raises(SynthbenchError, match=f"run with --download, or get {there.address}/a.bin and put it in {downloads}"):
        toy.ready(StageRun(tmp_path), copy)
    downloads.mkdir()
    (downloads / "a.bin").write_bytes(b"another")
    with pytest.raises(SynthbenchError, match=r"a\.bin: its SHA256 is .*; delete it, and run with --download"):
        toy.ready(StageRun(tmp_path), copy)
    (downloads / "a.bin").write_bytes(CONTENT)
    toy.ready(StageRun(tmp_path), copy)
    assert not there.asked
    assert not downloads.exists(), "what it was made of takes no room afterwards"


def test_many_files_are_fetched_at_once(there: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHBENCH_DATA", str(tmp_path / "data"))
    for number in range(30):
        (tmp_path / f"there/{number}.bin").write_bytes(bytes([number]))
    toy = remote(there, *[file(there, f"{number}.bin", "") for number in range(30)])
    there.breaks["/7.bin"] = [0]
    there.statuses["/9.bin"] = [404]
    with pytest.raises(SynthbenchError, match=r"9\.bin: cannot be downloaded \(404"):
        toy.ready(StageRun(tmp_path, offline=False), copy)
    run = StageRun(tmp_path, offline=False)
    folder = toy.ready(run, copy)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {f"{number}.bin": bytes([number]) for number in range(30)}
    assert "of 30 files together" in run.notes[1]


def tar(path: Path, *members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), link
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("pack", [tar, zipped])
def test_only_what_is_wanted_is_unpacked(pack, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a", ("x/1.png", b"one"), ("x/2.txt", b"two"), ("y/3.png", b"three"))
    unpacked = unpack(archive, tmp_path / "to", lambda name: name.replace("/", "-") if name.endswith(".png") else None, largest=100)
    assert sorted(unpacked) == ["x-1.png", "y-3.png"]
    assert (tmp_path / "to/y-3.png").read_bytes() == b"three"


@pytest.mark.parametrize("pack", [tar, zipped])
@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "a\\..\\out", "C:out", "a\nb"])
def test_nothing_is_unpacked_outside_of_the_folder(pack, name: str, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a", (name, b"harm"))
    with pytest.raises(SynthbenchError, match="leads out of the folder"):
        list(unpack(archive, tmp_path / "deep/to", lambda name: name, largest=100))
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"a"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_left_out(kind: bytes, tmp_path: Path) -> None:
    archive = tar(tmp_path / "a", ("link", b""), kind=kind, link="/etc/passwd")
    assert not list(unpack(archive, tmp_path / "to", lambda name: name, largest=100))


def test_an_archive_that_is_too_large_doubled_or_damaged_is_refused(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "bomb", ("a", bytes(10_000_000)))
    with pytest.raises(SynthbenchError, match="unpacks to more than 1 MB"):
        list(unpack(bomb, tmp_path / "to", lambda name: name, largest=1 << 20))
    twice = tar(tmp_path / "twice", ("a", b"1"), ("a", b"2"))
    with pytest.raises(SynthbenchError, match="holds a twice"):
        list(unpack(twice, tmp_path / "to", lambda name: name, largest=100))
    whole = tar(tmp_path / "whole", ("b", bytes(range(256)) * 1000)).read_bytes()
    for cut in (whole[: len(whole) // 2], b"no archive", gzip.compress(b"no tar")):
        (tmp_path / "cut").write_bytes(cut)
        with pytest.raises(SynthbenchError, match="cut: is not a complete archive"):
            list(unpack(tmp_path / "cut", tmp_path / "to2", lambda name: name, largest=1 << 20))


class Liar(http.server.BaseHTTPRequestHandler):
    """Sends its class's bytes as they are, and 200 pieces of the same length after them."""

    answer: ClassVar[bytes] = b""

    def do_GET(self) -> None:
        with suppress(OSError):
            self.wfile.write(self.answer)
            for _ in range(200 if b"chunked" in self.answer else 0):
                self.wfile.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")

    def log_message(self, *arguments: object) -> None: ...


@contextmanager
def lying(answer: bytes) -> Iterator[str]:
    """The address of a file at a server that answers so."""
    Liar.answer = b"HTTP/1.1 " + answer + b"\r\n\r\n"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a.bin"
        server.shutdown()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"200 OK\r\nTransfer-Encoding: chunked", "more than 3000000 bytes came: the file there is another one"),
        (b"200 OK\r\nContent-Length: \xb2", "0 bytes in place of 3000000|cannot be downloaded"),
        (b"200 OK\r\nContent-Length: " + b"9" * 5000, "0 bytes in place of 3000000|cannot be downloaded"),
        (b"503 Busy\r\nRetry-After: \xb2", "503 Busy"),
        (b"302 Found\r\nLocation: http://[::1", "leads to an address that cannot be read"),
        (b"302 Found\r\nLocation: file:///etc/passwd", "is not allowed"),
    ],
)
def test_a_server_that_lies_is_told(answer: bytes, message: str, tmp_path: Path) -> None:
    with lying(answer) as address, pytest.raises(SynthbenchError, match=message):
        fetch(RemoteFile(name="a.bin", address=address, size=3_000_000, digest=f"sha256:{SHA256}"), tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", [b"200 OK\r\nTransfer-Encoding: chunked", b"200 OK\r\nContent-Length: 3145729"])
def test_a_file_of_unknown_size_has_a_limit(answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LARGEST", 3 << 20)
    with lying(answer) as address, pytest.raises(SynthbenchError, match="more than 3 MB, the limit of a file whose size"):
        fetch(RemoteFile(name="a.bin", address=address), tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []
