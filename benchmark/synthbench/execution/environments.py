"""Environments of plugins' own: made once with uv, kept in one folder, used by workers that run in them.

An environment is named by the content of what it was asked to hold, built in a temporary sibling and published by one
rename, so what is there is whole. Beside each lies a lock: makers hold it alone, runs that use the environment share it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from synthbench.contract.environment import Environment, environment_of
from synthbench.errors import SynthbenchError, suggest
from synthbench.execution.provenance import requirement_name

SCHEMA = 1
ABOUT = "environment.json"
FOLDER = "SYNTHBENCH_ENVIRONMENTS"  # the variable that names another folder than the default
LAST_LINES = 15


@dataclass(frozen=True)
class Wanted:
    """An environment that a plugin asks for, with what the harness adds to it.

    harness, plugin: requirements that install the two distributions as they are installed here.
    """

    distribution: str
    environment: Environment
    harness: tuple[str, ...]
    plugin: tuple[str, ...]
    identity: str
    """Of both distributions: changes with their versions, requirements and, unless editable, their content."""

    @property
    def python(self) -> str:
        """The version of the interpreter."""
        return self.environment.python or f"{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def recipe(self) -> dict[str, Any]:
        """All that the environment's content depends on, as plain values."""
        return {"python": self.python, **{key: value for key, value in asdict(self.environment).items() if key != "python"}}

    @property
    def name(self) -> str:
        """The plugin's distribution and a hash of the content."""
        content = {"schema": SCHEMA, "machine": f"{sys.platform} {platform.machine()}", "identity": self.identity, **self.recipe}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"{self.distribution.removeprefix('synthbench-')}-{digest[:12]}"

    def described(self) -> str:
        """What would be installed, for a person to agree to."""
        wanted = self.environment
        lines = [f"Python {self.python}", *wanted.dependencies]
        lines += [f"instead of what packages ask for: {each}" for each in wanted.overrides]
        lines += [f"built here from source, which may take long: {each}" for each in wanted.no_build_isolation]
        lines += [f"built with {name}={value}" for name, value in wanted.build_variables.items()]
        lines += [f"synthbench and {self.distribution}, as installed here"]
        return "\n".join([f"{self.name}:", *(f"  {line}" for line in lines)])


def wanted_by(plugin: object, distribution_name: str) -> Wanted | None:
    """The environment that a configured plugin asks for, None where it lives in the harness's."""
    environment = environment_of(plugin)
    if environment is None:
        return None
    harness, own = distribution("synthbench"), distribution(distribution_name)
    same = harness.name == own.name
    identity = " ".join(identify(each) for each in (harness, own))
    return Wanted(own.name, environment, requirement(harness), () if same else requirement(own), identity)


def requirement(found: Distribution) -> tuple[str, ...]:
    """What tells uv to install a distribution as it is installed here: from its folder, its archive or a registry."""
    recorded = found.read_text("direct_url.json")
    if recorded is None:
        return (f"{found.name}=={found.version}",)
    origin = json.loads(recorded)
    if "dir_info" in origin:
        folder = unquote(urlsplit(origin["url"]).path)
        return ("--editable", folder) if origin["dir_info"].get("editable") else (folder,)
    address = origin["url"]
    if "vcs_info" in origin:
        address = f"{origin['vcs_info']['vcs']}+{address}@{origin['vcs_info']['commit_id']}"
    within = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
    return (f"{found.name} @ {address}{within}",)


def identify(found: Distribution) -> str:
    """Changes when another environment is needed. An editable distribution's modules are read where they lie, so they do not count."""
    record = found.read_text("RECORD") or ""
    modules = [line for line in record.splitlines() if ".dist-info/" not in line and not line.startswith("..")]
    parts = [found.name, found.version, *sorted(found.requires or ()), *requirement(found), *sorted(modules)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def default_folder() -> Path:
    """Where environments are kept: they serve every store of this user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get(FOLDER) or cache / "synthbench" / "environments").expanduser()


class Environments:
    """The environments below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._used: list[IO[str]] = []

    def python(self, name: str) -> Path:
        """Where an environment's interpreter is, or would be."""
        return self.root / name / "bin" / "python"

    def about(self, name: str) -> dict[str, Any] | None:
        """What is known of an environment, None where there is none, or none that works: its Python may have been taken away."""
        try:
            about: dict[str, Any] = json.loads((self.root / name / ABOUT).read_text())
        except (OSError, ValueError):
            return None
        return about if self.python(name).exists() else None

    def names(self) -> list[str]:
        """All that are whole, sorted."""
        return sorted(each.parent.name for each in self.root.glob(f"*/{ABOUT}") if not each.parent.name.endswith(".building"))

    def find(self, name: str) -> str:
        """The one environment whose name begins with `name`. Raises SynthbenchError where there is none, or several."""
        fitting = [each for each in self.names() if each.startswith(name)]
        if name in fitting or len(fitting) == 1:
            return name if name in fitting else fitting[0]
        several = f"{name} may be {' or '.join(fitting)}: give more of it"
        raise SynthbenchError(several if fitting else f"{self.root}: no environment '{name}'{suggest(name, self.names())}")

    def use(self, name: str) -> Path:
        """The interpreter of an environment, which cannot be removed until this process ends."""
        lock = self._locked(name, fcntl.LOCK_SH)
        if self.about(name) is None:
            lock.close()
            raise SynthbenchError(f"{self.root}: the environment {name} was removed in the meantime; run again")
        self._used.append(lock)
        return self.python(name)

    def make(self, wanted: Wanted, tell: Callable[[str], None]) -> None:
        """Makes an environment, unless it is there; of two makers one waits for the other. Raises SynthbenchError where uv cannot."""
        uv = find_uv()
        self.root.mkdir(parents=True, exist_ok=True)
        with self._locked(wanted.name, fcntl.LOCK_EX):
            if self.about(wanted.name) is not None:
                return
            if (self.root / wanted.name).exists():  # but does not work
                self._discard(wanted.name)
            tell(f"making the environment {wanted.name}")
            started = time.monotonic()
            built = Path(tempfile.mkdtemp(prefix=f"{wanted.name}.", suffix=".building", dir=self.root))
            try:
                packages = self._build(uv, wanted, built)
                seconds = round(time.monotonic() - started, 1)
                about = {"schema": SCHEMA, "distribution": wanted.distribution, **wanted.recipe, "seconds": seconds, "packages": packages}
                (built / ABOUT).write_text(json.dumps({**about, "made": time.strftime("%Y-%m-%d %H:%M")}, indent=1))
                built.chmod(0o755)
                built.rename(self.root / wanted.name)
            finally:
                shutil.rmtree(built, ignore_errors=True)  # there is nothing where it was published
            tell(f"made {wanted.name} in {seconds:.0f} s")

    def remove(self, name: str) -> None:
        """Removes an environment. Raises SynthbenchError where a run uses it."""
        with self._locked(name, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if (self.root / name).exists():  # nobody else was quicker
                self._discard(name)

    def sweep(self) -> None:
        """Clears away what was left by makers and removers that were killed, whose locks are free."""
        for left in self.root.glob("*.building"):
            with suppress(SynthbenchError), self._locked(left.name.split(".")[0], fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(left, ignore_errors=True)

    def _discard(self, name: str) -> None:
        doomed = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".building", dir=self.root))
        (self.root / name).replace(doomed)  # in one step: nobody finds half of it
        shutil.rmtree(doomed)

    def _locked(self, name: str, how: int) -> IO[str]:
        lock = (self.root / f"{name}.lock").open("w")
        try:
            fcntl.flock(lock, how)
        except BlockingIOError:
            lock.close()
            raise SynthbenchError(f"{name} is in use by a run or being made; try again when that has ended") from None
        return lock

    def _build(self, uv: str, wanted: Wanted, folder: Path) -> Mapping[str, str]:
        """Fills the folder; gives the versions of what is in it."""
        python = folder / "bin" / "python"
        environment = wanted.environment
        late = [each for each in environment.dependencies if requirement_name(each) in environment.no_build_isolation]
        early = [each for each in environment.dependencies if each not in late]
        overrides = folder / "overrides.txt"
        install = ("pip", "install", "--python", str(python), "--override", str(overrides))
        steps = [
            ("venv", "--relocatable", "--allow-existing", "--no-project", "--python", wanted.python, str(folder)),
            (*install, *wanted.harness, *early),
            *([(*install, "--no-build-isolation", *wanted.harness, *early, *late)] if late else []),
            *([(*install, "--no-deps", *wanted.plugin)] if wanted.plugin else []),
        ]
        overrides.write_text("\n".join(environment.overrides))
        for step in steps:
            self._run([uv, *step], wanted)
        self._run([str(python), "-P", "-c", "import synthbench.execution.worker"], wanted)
        listed = self._run([uv, "pip", "list", "--format", "json", "--python", str(python)], wanted)
        return {each["name"]: each["version"] for each in json.loads(listed)}

    def _run(self, command: Sequence[str], wanted: Wanted) -> str:
        """The standard output of one command. Raises SynthbenchError with the last lines of what failed."""
        # Not the caller's project or interpreter: both have settings of their own, which uv would take over.
        taken = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH", "PYTHONHOME"}
        variables = {name: value for name, value in os.environ.items() if name not in taken} | dict(wanted.environment.build_variables)
        done = subprocess.run(
            command, cwd=self.root, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            last = "\n".join(done.stderr.splitlines()[-LAST_LINES:])
            raise SynthbenchError(f"the environment {wanted.name} could not be made: {' '.join(command[1:3])} failed:\n{last}")
        return done.stdout


def find_uv() -> str:
    """The program uv, on the path or beside this interpreter. Raises SynthbenchError where there is none."""
    beside = Path(sys.executable).with_name("uv")
    found = shutil.which("uv") or (str(beside) if beside.exists() else None)
    if found is None:
        raise SynthbenchError("environments of plugins' own are made with uv, and there is none: pip install uv")
    return found
