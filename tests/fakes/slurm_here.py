"""A real SLURM on this machine: munged, slurmctld and two slurmd on loopback, in a folder of their own. Debian has the programs:

apt-get install slurmd slurmctld slurm-client munge
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
NODES = ("one", "two")
CONFIG = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
SlurmdTimeout=20
KillWait=5
MinJobAge=300
DefMemPerNode=2000
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=16000
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=16000
PartitionName=all Nodes=one,two Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs that are not installed; `root`, if this is somebody else, whom slurmd does not run for."""
    return [name for name in NEEDED if shutil.which(name, path=PATH) is None] + ([] if os.geteuid() == 0 else ["root"])


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in opened]
    for each in opened:
        each.close()
    return ports


@contextmanager
def slurm_here(folder: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Starts SLURM, and ends it. Commands find it by SLURM_CONF. Gives the daemons by name: `slurmctld`, `one`, `two`."""
    (folder / "state").mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "slurm.conf").write_text(CONFIG.format(folder=folder, host=socket.gethostname().split(".")[0], ports=free_ports(3)))
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o600)
    environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    files = {"key": "key-file", "socket": "socket", "pid": "pid-file", "log": "log-file", "seed": "seed-file"}
    munge = [f"--{option}={folder}/munge.{name}" for name, option in files.items()]
    commands = {
        "munged": ["munged", "--force", "--foreground", *munge],
        "slurmctld": ["slurmctld", "-D"],
        **{node: ["slurmd", "-D", "-N", node] for node in NODES},
    }
    running: dict[str, subprocess.Popen[bytes]] = {}
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = environment["SLURM_CONF"]
    try:
        for name, command in commands.items():
            with (folder / f"{name}.out").open("wb") as output:
                running[name] = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
            if name == "munged":
                wait_until((folder / "munge.socket").exists, folder)
        wait_until(lambda: states(environment) == ["idle", "idle"], folder)
        yield running
    finally:
        subprocess.run(["scancel", "--user=root"], env=environment, check=False, capture_output=True)
        for process in reversed(running.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def states(environment: dict[str, str]) -> list[str]:
    """The states of the nodes."""
    listed = subprocess.run(["sinfo", "--noheader", "--Node", "--format=%T"], env=environment, capture_output=True, text=True, check=False)
    return listed.stdout.split()


def wait_until(what: Callable[[], object], folder: Path, seconds: float = 120) -> None:
    """Waits; where it does not happen, fails with what the daemons say."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            logs = "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in folder.glob("*.log"))
            raise AssertionError(f"SLURM did not start:\n{logs}")
        time.sleep(0.2)
