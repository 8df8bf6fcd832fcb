"""A store in a folder, looked through and tidied by a person."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from synthbench.storage.inventory import Leftover, Listed
from synthbench.storage.leases import acquire, is_abandoned, looks_old
from synthbench.storage.local import BUILDING, DAMAGED, LEASE, PARTIAL, LocalStore, disk_errors_explained
from synthbench.storage.manifest import STAGE, unseal
from synthbench.storage.store import DamagedArtifact

ASIDE = re.compile(r"[0-9a-f]{12}\.[a-z0-9_]{8}\.damaged")  # as `set_aside` names them


class ManagedLocalStore(LocalStore):
    """See `synthbench.storage.inventory.ManagedStore`."""

    def listed(self) -> Iterator[Listed]:
        """Every artifact, whole or damaged."""
        for kind, key in self.contents():
            try:
                artifact = self.get(kind, key)
            except DamagedArtifact:
                artifact = None
            with suppress(OSError):  # removed meanwhile
                published = (self.folder(kind, key) / (STAGE if artifact else "")).lstat().st_mtime
                yield Listed.of(kind, key, artifact.record if artifact else None, published)

    def check(self, kind: str, key: str) -> None:
        """Reads every file of an artifact. Raises DamagedArtifact."""
        self.verify(kind, key)

    def foreign(self, kind: str, key: str) -> list[str]:
        """The files in an artifact's folder that the store did not put there; of a damaged record, whatever is there."""
        return foreign_in(self.folder(kind, key))

    def building(self) -> list[str]:
        """What processes are making now, here or on other hosts, and the runs that go on."""
        return sorted(each.stem for each in (self.root / BUILDING).glob(f"*{LEASE}") if not is_abandoned(each))

    def doubtful(self) -> list[str]:
        """Those of `building` whose process is on another host and seems to have ended."""
        return sorted(each.stem for each in (self.root / BUILDING).glob(f"*{LEASE}") if looks_old(each) and not is_abandoned(each))

    def leftovers(self) -> list[Leftover]:
        """Damaged artifacts that were set aside, and unfinished work that no process holds."""
        partial = [each for each in (self.root / BUILDING).glob(f"*{PARTIAL}") if is_abandoned(each.with_suffix(LEASE))]
        aside = [each for each in self.root.glob(f"*/[0-9a-f][0-9a-f]/*{DAMAGED}") if ASIDE.fullmatch(each.name)]
        found = [Leftover(str(each), size_below(each)) for each in partial]
        found += [Leftover(str(each), size_below(each), next(iter(foreign_in(each)), "")) for each in aside]
        return sorted(found, key=lambda each: each.place)

    def remove(self, leftovers: Sequence[Leftover]) -> int:
        """Removes what `leftovers` gave, but for what a process has taken up since; says how many it removed."""
        removed = 0
        for folder in (Path(each.place) for each in leftovers if not each.foreign):
            lease = None
            if folder.suffix == PARTIAL and (lease := acquire(folder.with_suffix(LEASE))) is None:
                continue
            try:
                with disk_errors_explained(self.root), suppress(FileNotFoundError):  # another process may be quicker
                    if folder.is_symlink() or folder.is_file():
                        folder.unlink()
                    else:
                        shutil.rmtree(folder)
                    removed += 1
            finally:
                if lease is not None:
                    lease.release()
        return removed


def foreign_in(folder: Path) -> list[str]:
    """The files in an artifact's folder that its record does not name; all but the record, if that cannot be read."""
    if folder.is_symlink() or folder.is_file():
        return []
    known = {STAGE}
    with suppress(OSError, ValueError):
        known |= unseal((folder / STAGE).read_bytes()).files.keys()
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    return sorted(names - known)


def size_below(path: Path) -> int:
    """The size of a file, or of the files below a folder, in bytes."""
    return sum(each.lstat().st_size for each in (path, *path.rglob("*")) if each.is_symlink() or each.is_file())
