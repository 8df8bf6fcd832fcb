"""Plugins' own environments: uv creates each once, all in one folder, and workers run in them.

An environment's name contains a hash of its content. It is built in a temporary folder beside its final path and renamed
once, so an environment is always complete. Each has a lock file: creating it takes an exclusive lock, a run a shared one.
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
FOLDER = "SYNTHBENCH_ENVIRONMENTS"  # the environment variable that overrides the default folder
LAST_LINES = 15


@dataclass(frozen=True)
class EnvironmentSpec:
    """The environment that a plugin requires, and what the harness adds to it.

    harness, plugin: requirements that install synthbench and the plugin's distribution as they are installed here.
    """

    distribution: str
    environment: Environment
    harness: tuple[str, ...]
    plugin: tuple[str, ...]
    identity: str
    """A hash of both distributions: changes with their versions, requirements and, unless editable, their files."""

    @property
    def python(self) -> str:
        """The version of Python."""
        return self.environment.python or f"{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that the environment's content depends on, as plain values."""
        return {"python": self.python, **{key: value for key, value in asdict(self.environment).items() if key != "python"}}

    @property
    def name(self) -> str:
        """The name of the plugin's distribution and a hash of the content."""
        content = {"schema": SCHEMA, "machine": f"{sys.platform} {platform.machine()}", "identity": self.identity, **self.recipe}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"{self.distribution.removeprefix('synthbench-')}-{digest[:12]}"

    def description(self) -> str:
        """What would be installed, for the user to confirm."""
        environment = self.environment
        lines = [f"Python {self.python}", *environment.dependencies]
        lines += [f"override of packages' own requirements: {each}" for each in environment.overrides]
        lines += [f"built here from source, which can take long: {each}" for each in environment.no_build_isolation]
        lines += [f"built with {name}={value}" for name, value in environment.build_variables.items()]
        lines += [f"synthbench and {self.distribution}, as installed here"]
        return "\n".join([f"{self.name}:", *(f"  {line}" for line in lines)])


def environment_spec_of(plugin: object, distribution_name: str, needs: Sequence[str] = ()) -> EnvironmentSpec | None:
    """The environment that a configured plugin requires, None if it runs in the harness's.

    needs: packages by which a worker there opens the store, besides synthbench's own.
    """
    environment = environment_of(plugin)
    return None if environment is None else spec_of(environment, distribution_name, needs)


def spec_of(environment: Environment, distribution_name: str, needs: Sequence[str] = ()) -> EnvironmentSpec:
    """The specification of a plugin's environment, from what is installed on this machine; `needs` as in `environment_spec_of`."""
    harness, own = distribution("synthbench"), distribution(distribution_name)
    same = harness.name == own.name
    identity = " ".join([*(identify(each) for each in (harness, own)), *needs])
    return EnvironmentSpec(own.name, environment, (*requirement(harness), *needs), () if same else requirement(own), identity)


def requirement(found: Distribution) -> tuple[str, ...]:
    """Arguments with which uv installs a distribution as it is installed here: from a folder, an archive, git or a registry."""
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
    """A hash that changes if a new environment is needed. It ignores the modules of an editable install, which are read in place."""
    record = found.read_text("RECORD") or ""
    modules = [line for line in record.splitlines() if ".dist-info/" not in line and not line.startswith("..")]
    parts = [found.name, found.version, *sorted(found.requires or ()), *requirement(found), *sorted(modules)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def default_folder() -> Path:
    """The folder of all environments, shared by all stores of this user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get(FOLDER) or cache / "synthbench" / "environments").expanduser()


class Environments:
    """The environments in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._used: list[IO[str]] = []

    def python(self, name: str) -> Path:
        """The path of an environment's interpreter, which may not exist yet."""
        return self.root / name / "bin" / "python"

    def about(self, name: str) -> dict[str, Any] | None:
        """The description of an environment, None if it does not exist or its Python was removed."""
        try:
            about: dict[str, Any] = json.loads((self.root / name / ABOUT).read_text())
        except (OSError, ValueError):
            return None
        return about if self.python(name).exists() else None

    def names(self) -> list[str]:
        """The names of all complete environments, sorted."""
        return sorted(each.parent.name for each in self.root.glob(f"*/{ABOUT}") if not each.parent.name.endswith(".building"))

    def find(self, name: str) -> str:
        """The only environment whose name begins with `name`. Raises SynthbenchError if there is none, or more than one."""
        fitting = [each for each in self.names() if each.startswith(name)]
        if name in fitting or len(fitting) == 1:
            return name if name in fitting else fitting[0]
        several = f"{name} matches {' and '.join(fitting)}: give more characters of the name"
        raise SynthbenchError(several if fitting else f"{self.root}: no environment '{name}'{suggest(name, self.names())}")

    def use(self, name: str) -> Path:
        """The interpreter of an environment. The environment cannot be removed until this process ends."""
        lock = self._locked(name, fcntl.LOCK_SH)
        if self.about(name) is None:
            lock.close()
            raise SynthbenchError(f"{self.root}: the environment {name} was removed in the meantime; run again")
        self._used.append(lock)
        return self.python(name)

    def make(self, spec: EnvironmentSpec, report: Callable[[str], None]) -> None:
        """Creates an environment unless it exists; waits if another process is creating it. Raises SynthbenchError if uv fails."""
        uv = find_uv()
        self.root.mkdir(parents=True, exist_ok=True)
        with self._locked(spec.name, fcntl.LOCK_EX):
            if self.about(spec.name) is not None:
                return
            if (self.root / spec.name).exists():  # without a working Python
                self._discard(spec.name)
            report(f"making the environment {spec.name}")
            started = time.monotonic()
            built = Path(tempfile.mkdtemp(prefix=f"{spec.name}.", suffix=".building", dir=self.root))
            try:
                packages = self._build(uv, spec, built)
                seconds = round(time.monotonic() - started, 1)
                about = {"schema": SCHEMA, "distribution": spec.distribution, **spec.recipe, "seconds": seconds, "packages": packages}
                (built / ABOUT).write_text(json.dumps({**about, "made": time.strftime("%Y-%m-%d %H:%M")}, indent=1))
                built.chmod(0o755)
                built.rename(self.root / spec.name)
            finally:
                shutil.rmtree(built, ignore_errors=True)  # nothing to remove if it was renamed
            report(f"made {spec.name} in {seconds:.0f} s")

    def remove(self, name: str) -> None:
        """Removes an environment. Raises SynthbenchError if a run uses it."""
        with self._locked(name, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if (self.root / name).exists():  # another process may have removed it
                self._discard(name)

    def sweep(self) -> None:
        """Removes the temporary folders of killed processes, whose locks are free."""
        for left in self.root.glob("*.building"):
            with suppress(SynthbenchError), self._locked(left.name.split(".")[0], fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(left, ignore_errors=True)

    def _discard(self, name: str) -> None:
        removed = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".building", dir=self.root))
        (self.root / name).replace(removed)  # in one step, so no process sees a partly removed environment
        shutil.rmtree(removed)

    def _locked(self, name: str, how: int) -> IO[str]:
        lock = (self.root / f"{name}.lock").open("w")
        try:
            fcntl.flock(lock, how)
        except BlockingIOError:
            lock.close()
            raise SynthbenchError(f"{name} is in use by a run or being made; try again later") from None
        return lock

    def _build(self, uv: str, spec: EnvironmentSpec, folder: Path) -> Mapping[str, str]:
        """Installs into the folder; returns the version of each package."""
        python = folder / "bin" / "python"
        environment = spec.environment
        late = [each for each in environment.dependencies if requirement_name(each) in environment.no_build_isolation]
        early = [each for each in environment.dependencies if each not in late]
        overrides = folder / "overrides.txt"
        install = ("pip", "install", "--python", str(python), "--override", str(overrides))
        steps = [
            ("venv", "--relocatable", "--allow-existing", "--no-project", "--python", spec.python, str(folder)),
            (*install, *spec.harness, *early),
            *([(*install, "--no-build-isolation", *spec.harness, *early, *late)] if late else []),
            *([(*install, "--no-deps", *spec.plugin)] if spec.plugin else []),
        ]
        overrides.write_text("\n".join(environment.overrides))
        for step in steps:
            self._run([uv, *step], spec)
        self._run([str(python), "-P", "-c", "import synthbench.execution.worker"], spec)
        listed = self._run([uv, "pip", "list", "--format", "json", "--python", str(python)], spec)
        return {each["name"]: each["version"] for each in json.loads(listed)}

    def _run(self, command: Sequence[str], spec: EnvironmentSpec) -> str:
        """Runs a command and returns its standard output. Raises SynthbenchError with the last lines of its errors if it fails."""
        # These point to the caller's project or interpreter, whose settings uv would use.
        excluded = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH", "PYTHONHOME"}
        variables = {name: value for name, value in os.environ.items() if name not in excluded} | dict(spec.environment.build_variables)
        process = subprocess.run(
            command, cwd=self.root, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
        if process.returncode:
            last = "\n".join(process.stderr.splitlines()[-LAST_LINES:])
            raise SynthbenchError(f"the environment {spec.name} could not be made: {' '.join(command[1:3])} failed:\n{last}")
        return process.stdout


def find_uv() -> str:
    """The path of uv, from PATH or beside this interpreter. Raises SynthbenchError if it is not found."""
    beside = Path(sys.executable).with_name("uv")
    found = shutil.which("uv") or (str(beside) if beside.exists() else None)
    if found is None:
        raise SynthbenchError("plugins' own environments are made with uv, which is not installed: pip install uv")
    return found
