"""A real SLURM cluster of two nodes on this machine, in a temporary directory."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE")

CONFIG = """\
ClusterName=genlab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A requeued job waits as long as a credential lives: 120 s unless it is lowered (5 is the least).
AuthInfo=socket={root}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd_%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd_%n.log
PlugStackConfig={root}/plugstack.conf
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=15
MinJobAge=3600
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# CPUs are places for tasks: each node declares eight, whatever the machine has (SlurmdParameters=config_overrides),
# and all tasks share the machine's cores.
NodeName=n0 NodeHostname={host} NodeAddr=127.0.0.1 Port={port0} CPUs=8 RealMemory=8000
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={port1} CPUs=8 RealMemory=8000
PartitionName=batch Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=grace Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""


def missing() -> list[str]:
    """Programs that a cluster needs and this machine lacks."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [name for name in PROGRAMS if not shutil.which(name, path=path)]


class Cluster:
    """`munged`, `slurmctld` and two `slurmd`, with ports and files of their own; a context manager.

    Partitions: `batch`, preempted at once; `grace`, preempted with a minute's notice; `urgent`, which preempts.
    Whatever was started is ended by a second process (`sweep_up.py`) when this one leaves the context or dies.

    Raises:
        RuntimeError: a daemon does not start; with the last lines of its log.
    """

    def __enter__(self) -> "Cluster":
        self.root = Path(tempfile.mkdtemp(prefix="genlab_slurm_"))
        os.chmod(self.root, 0o755)  # munged refuses a socket that others could replace
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))
        }
        self.environment |= {
            "SLURM_CONF": str(self.root / "slurm.conf"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}",
            "MASTER_ADDR": "127.0.0.1",  # the nodes' names do not resolve
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(self.root / "tmp"),
            "GENLAB_CACHE": str(self.root / "cache"),
            "GENLAB_LOG_ROOT": str(self.root / "logs"),
        }
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._sweeper = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("sweep_up.py")), str(self.root)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process and remove every file."""
        assert self._sweeper.stdin is not None
        self._sweeper.stdin.close()
        self._sweeper.wait()
        for daemon in self._daemons.values():
            daemon.wait()

    # -- starting ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        for folder in ("munge", "state", "tmp", "spool/n0", "spool/n1"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "plugstack.conf").touch()
        port, port0, port1 = free_ports(3)
        settings = {"root": self.root, "host": socket.gethostname().split(".")[0], "port": port}
        settings |= {"port0": port0, "port1": port1, "user": _user()}
        (self.root / "slurm.conf").write_text(CONFIG.format(**settings))
        self._munge()
        self._daemon("slurmctld", "-D")
        for node in ("n0", "n1"):
            self._daemon("slurmd", "-D", "-N", node)
        idle = lambda: self.ask("sinfo", "-h", "-o", "%T %D").strip() == "idle 2"  # noqa: E731
        self.wait(lambda: self._alive() and idle(), 120, "two idle nodes")

    def _munge(self) -> None:
        folder = self.root / "munge"
        folder.chmod(0o755)
        key = folder / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = {
            "key-file": "key",
            "socket": "socket",
            "pid-file": "pid",
            "log-file": "log",
            "seed-file": "seed",
        }
        options = [f"--{option}={folder / name}" for option, name in files.items()]
        self._daemon("munged", "--foreground", "--force", *options)
        self.wait(lambda: self._alive() and (folder / "socket").exists(), 60, "munged")

    def _daemon(self, *words: str) -> None:
        name = words[0] + (f"_{words[-1]}" if "-N" in words else "")
        log = open(self.root / f"{name}.out", "wb")  # noqa: SIM115
        daemon = subprocess.Popen(
            words, env=self.environment, stdout=log, stderr=log, start_new_session=True, cwd=self.root
        )
        self._daemons[name] = daemon

    def _alive(self) -> bool:
        """True; RuntimeError where a daemon has ended."""
        for name, daemon in self._daemons.items():
            if daemon.poll() is not None:
                log = self.root / ("munge/log" if name == "munged" else f"{name}.log")
                files = [path for path in (self.root / f"{name}.out", log) if path.is_file()]
                lines = [line for path in files for line in path.read_text(errors="replace").splitlines()]
                last = "\n".join(lines[-10:])
                raise RuntimeError(f"{name} ended with status {daemon.returncode} while starting:\n{last}")
        return True

    # -- using -------------------------------------------------------------------------------------------------

    def ask(self, *words: object) -> str:
        """What a command prints, whether it fails or not."""
        done = subprocess.run(
            [str(word) for word in words], env=self.environment, cwd=ROOT, capture_output=True, text=True
        )
        return done.stdout

    def run(self, *words: object, **environment: object) -> str:
        """What a command prints; its environment is the cluster's.

        Raises:
            RuntimeError: it fails.
        """
        done = subprocess.run(
            [str(word) for word in words],
            env=self.environment | {k: str(v) for k, v in environment.items()},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout

    def submit(self, *words: object, **environment: object) -> int:
        """`sbatch WORDS`; the job's id."""
        out = self.run("sbatch", "--parsable", *words, **environment)
        return int(out.split(";")[0])

    def job(self, number: int | str) -> dict[str, str]:
        """`scontrol show job`, as a dictionary; empty when SLURM has forgotten the job."""
        text = self.ask("scontrol", "-o", "show", "job", number)
        line = text.splitlines()[0] if text else ""
        return dict(word.split("=", 1) for word in line.split(" ") if "=" in word)

    def state(self, number: int | str) -> str:
        """A job's state: PENDING, RUNNING, COMPLETED, ..."""
        return self.job(number).get("JobState", "")

    def restarts(self, number: int | str) -> int:
        """How often a job was requeued."""
        return int(self.job(number).get("Restarts", -1))

    def ended(self, number: int | str) -> bool:
        """Whether a job is over; out of time, it may still requeue itself while it is being killed."""
        job = self.job(number)
        state = job.get("JobState")
        if state == "TIMEOUT":
            return time.time() > datetime.fromisoformat(job["EndTime"]).timestamp() + 25
        return state in FINAL

    def wait_for(self, number: int | str, states: Sequence[str] = (), timeout: float = 180) -> str:
        """Wait until a job is in one of `states`, or over; its state."""
        there = lambda: self.state(number) in states if states else self.ended(number)  # noqa: E731
        self.wait(there, timeout, f"job {number} {' or '.join(states) or 'over'}")
        return self.state(number)

    def wait(self, condition: Callable[[], object], timeout: float, what: str) -> None:
        """Wait for a condition.

        Raises:
            RuntimeError: it does not come true; with the daemons' logs.
        """
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"waited {timeout} s for {what}\n{self.logs()}")
            time.sleep(0.1)

    def logs(self) -> str:
        """The ends of the daemons' logs, and the queue."""
        files = [*self.root.glob("*.log"), *self.root.glob("*.out")]
        found = [f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in files]
        return "\n".join([self.ask("scontrol", "-o", "show", "job"), *found])


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


if __name__ == "__main__":  # a shell in a cluster: python -m tests.slurm.cluster
    with Cluster() as cluster:
        print(json.dumps({k: cluster.environment[k] for k in ("SLURM_CONF", "PATH")}, indent=2))
        subprocess.run(sys.argv[1:] or ["bash"], env=cluster.environment, cwd=ROOT)
