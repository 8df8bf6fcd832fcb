"""The store: what is there is whole, nothing foreign is touched, and a full disk is told in plain words."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from synthbench.errors import SynthbenchError
from synthbench.storage.local import Store, key_of

KEY = key_of({"stage": "fit"})


def put(store: Store, content: str) -> Path:
    with store.building("fit", KEY) as folder:
        (folder / "model").write_text(content)
        return store.publish("fit", KEY, folder, {"content": content}).folder


def leftovers(store: Store) -> list[str]:
    return sorted(path.name for path in store.root.rglob("*") if path.suffix in (".building", ".damaged"))


def settle(*paths: Path) -> None:
    """Makes files look as if they had been written a minute ago."""
    for path in paths:
        os.utime(path, ns=(time.time_ns() - 60 * 10**9,) * 2)


def test_what_was_published_is_found_again(store: Store):
    folder = put(store, "one")
    found = Store(store.root).get("fit", KEY)
    assert found is not None
    assert (found.folder, found.about) == (folder, {"content": "one"})
    assert (found.folder / "model").read_text() == "one"
    assert not leftovers(store)


def test_a_half_built_folder_is_never_seen_and_goes(store: Store):
    def build_half() -> None:
        with store.building("fit", KEY) as folder:
            (folder / "model").write_text("half")
            assert store.get("fit", KEY) is None
            raise RuntimeError

    with pytest.raises(RuntimeError):
        build_half()
    assert store.get("fit", KEY) is None
    assert not leftovers(store)


def test_of_two_makers_the_first_stays(store: Store):
    put(store, "first")
    put(store, "second")
    found = store.get("fit", KEY)
    assert found is not None
    assert found.about == {"content": "first"}
    assert not leftovers(store)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[]"])
def test_a_damaged_description_is_set_aside_not_deleted(store: Store, damage: bytes):
    folder = put(store, "old")
    (folder / "stage.json").write_bytes(damage)
    assert store.get("fit", KEY) is None
    put(store, "new")
    found = store.get("fit", KEY)
    assert found is not None
    assert found.about == {"content": "new"}
    (aside,) = leftovers(store)
    assert (folder.parent / aside / "model").read_text() == "old"


def test_a_foreign_folder_is_refused_and_untouched(tmp_path: Path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "apple.jpg").write_text("mine")
    with pytest.raises(SynthbenchError, match=r"not a store of synthbench and not empty; name another folder with --store"):
        Store(photos)
    assert [path.name for path in photos.iterdir()] == ["apple.jpg"]


def test_a_file_is_no_store(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SynthbenchError, match="--store"):
        Store(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_cannot_be_written_is_told(store: Store, monkeypatch: pytest.MonkeyPatch, number: int):
    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with store.building("fit", KEY) as folder:
        monkeypatch.setattr(Path, "write_text", full)
        with pytest.raises(SynthbenchError, match=rf"{os.strerror(number)}.*make room or name another folder with --store"):
            store.publish("fit", KEY, folder, {})
    monkeypatch.undo()
    assert store.get("fit", KEY) is None
    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(SynthbenchError, match="the next run goes on from there"), store.building("fit", KEY):
        pass


def test_the_hash_of_a_folder_is_that_of_names_and_contents(store: Store, tmp_path: Path):
    folders = []
    for number, (name, content) in enumerate([("a", "1"), ("a", "1"), ("a", "2"), ("b", "1")]):
        folder = tmp_path / str(number) / "data"
        folder.mkdir(parents=True)
        (folder / name).write_text(content)
        folders.append(store.content_hash(folder))
    assert folders[0] == folders[1]
    assert len({*folders}) == 3


def test_what_a_link_leads_to_counts(store: Store, tmp_path: Path):
    folder, images = tmp_path / "data", tmp_path / "elsewhere"
    for each in (folder, images):
        each.mkdir()
    (folder / "images").symlink_to(images)
    (images / "round").symlink_to(folder)
    (images / "a.png").write_text("one")
    first = store.content_hash(folder)
    (images / "b.png").write_text("two")
    assert store.content_hash(folder) != first


def test_changed_content_under_the_same_name_is_noticed(store: Store, tmp_path: Path):
    file = tmp_path / "weights"
    file.write_text("one")
    fresh = store.content_hash(file)
    file.write_text("two")  # of the same size, within one tick of the clock
    assert store.content_hash(file) != fresh
    file.write_text("one")
    settle(file)
    assert Store(store.root).content_hash(file) == fresh
    file.write_text("two")
    assert Store(store.root).content_hash(file) != fresh


def test_a_file_that_did_not_change_is_read_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "weights"
    file.write_text("one")
    settle(file)
    value = store.content_hash(file)
    again = Store(store.root)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it was read again"))
    assert again.content_hash(file) == value


def test_hashing_nothing_is_told(store: Store, tmp_path: Path):
    with pytest.raises(SynthbenchError, match=r"nowhere: no such file or folder"):
        store.content_hash(tmp_path / "nowhere")


def test_a_key_is_the_same_however_its_recipe_is_ordered():
    assert key_of({"a": 1, "b": [1, 2]}) == key_of({"b": [1, 2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})


def test_the_store_says_what_it_is(store: Store):
    assert json.loads((store.root / "synthbench-store.json").read_text()) == {"schema": 1}
    assert Store(store.root).root == store.root


def test_a_stopped_fit_is_gone_on_with_and_other_stages_are_not(store: Store):
    def stop(*, resumable: bool) -> Path:
        with store.building("fit", KEY, resumable=resumable) as folder:
            (folder / "state").write_text("step 200")
        return folder

    assert not stop(resumable=False).exists()
    stop(resumable=True)
    with store.building("fit", KEY, resumable=True) as folder:
        assert (folder / "state").read_text() == "step 200"
        with store.building("fit", KEY, resumable=True) as other:  # another run at the same time
            assert not list(other.iterdir())
        store.publish("fit", KEY, folder, {})
    assert store.get("fit", KEY) is not None
    assert not [path for path in store.root.rglob("*") if path.suffix == ".partial"]


def test_what_killed_runs_left_half_built_is_swept_away_and_what_lives_is_not(store: Store):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    parent = store.folder("fit", KEY).parent
    dead, alive = (parent / f"{KEY[:12]}.{number}.x.building" for number in (int(gone.stdout), os.getpid()))
    for folder in (dead, alive):
        folder.mkdir(parents=True)
    store.sweep()
    assert not dead.exists()
    assert alive.exists()


def test_hidden_files_do_not_change_a_folders_hash(store: Store, tmp_path: Path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_text("a")
    before = store.content_hash(folder)
    (folder / ".DS_Store").write_text("x")
    assert store.content_hash(folder) == before
