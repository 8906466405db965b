"""A real SLURM of one node, this machine, whose daemons listen on the loopback and know no keys.

It trusts whoever reaches it and accounts for nothing: for tests alone.
"""

from __future__ import annotations

import getpass
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

# A job that is put back waits for cred_expire, of which less than 5 s is not taken.
SETTINGS = """\
ClusterName=loop
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
SlurmctldPort={controller}
SlurmdPort={node}
MpiDefault=none
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=10000,batch_sched_delay=0
ReturnToService=2
SwitchType=switch/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 {cores} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def loopback_slurm(folder: Path) -> Iterator[None]:
    """Start a cluster of one node; SLURM's commands here and in what is started talk to it."""
    (folder / "state").mkdir()
    settings = SETTINGS.format(
        host=socket.gethostname().partition(".")[0],
        user=getpass.getuser(),
        controller=_free_port(),
        node=_free_port(),
        folder=folder,
        cores=_cores(),
    )
    (folder / "slurm.conf").write_text(settings, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        try:
            subprocess.run(["slurmctld", "-c"], check=True, capture_output=True)
            subprocess.run(["slurmd", "-c"], check=True, capture_output=True)
            assert _idle(), f"SLURM does not start: see {folder}/*.log"
            yield
        finally:
            subprocess.run(["scancel", f"--user={getpass.getuser()}"], capture_output=True)
            _idle()  # without its controller, what is left of a job would ask for it for long
            for name in ("slurmd", "slurmctld"):
                _end(folder / f"{name}.pid")


def until(there: Callable[[], object]) -> None:
    """Wait for what a cluster will do, a minute at most."""
    for _ in range(600):
        if there():
            return
        time.sleep(0.1)
    raise AssertionError("it never happens")


def states() -> str:
    """Return the states of the jobs that have not ended, a line each."""
    return subprocess.run(["squeue", "-h", "-o", "%T"], capture_output=True, text=True).stdout


def silent(patch: pytest.MonkeyPatch, folder: Path, name: str) -> None:
    """Put a program in the place of one of SLURM's that does not reach its controller."""
    folder.mkdir()
    (folder / name).write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _cores() -> str:
    """Return this machine as a line of slurm.conf, without its memory, which nobody asks for."""
    told = subprocess.run(["slurmd", "-C"], capture_output=True, text=True, check=True).stdout
    return " ".join(re.findall(r"\b(?:CPUs|Boards|\w*Per\w+)=\d+", told))


def _idle() -> bool:
    """Return whether the node is there and no job runs on it, once that is so, in 30 s at most."""
    for _ in range(300):
        told = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True).stdout
        if told.strip() == "idle":
            return True
        time.sleep(0.1)
    return False


def _end(pid_file: Path) -> None:
    """End a daemon and wait until it is gone."""
    if not pid_file.is_file():
        return
    number = int(pid_file.read_text(encoding="utf-8"))
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGTERM)
        for _ in range(300):
            os.kill(number, 0)
            time.sleep(0.1)
