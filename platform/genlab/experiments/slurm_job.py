"""The SLURM job that this process is a task of: its name, its allocation, and how it is queued again."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Requeued = Literal["by this job", "by SLURM", "by its script", "not"]


@dataclass(frozen=True)
class SlurmJob:
    """A job as its environment describes it.

    Args:
        number: its id, for scontrol.
        name: the id that people see and that a requeue keeps: "12", or "12_3" for task 3 of array 12.
        restarts: how often it was requeued before.
        num_nodes: of the allocation.
        num_tasks: of the job step, else of the allocation.
        tasks_per_node: as asked for; None where nothing was.
        rank: of this task.
        cpus: that the job has on this node, by SLURM's count; None where it says nothing.
        logs: where the batch script sends the output of tasks, if it said so.
    """

    number: str
    name: str
    restarts: int = 0
    num_nodes: int = 1
    num_tasks: int = 1
    tasks_per_node: int | None = None
    rank: int = 0
    cpus: int | None = None
    logs: str | None = None

    @classmethod
    def current(cls) -> "SlurmJob | None":
        """The job of this process; None outside SLURM, and in an interactive shell within it."""
        get = os.environ.get
        number = get("SLURM_JOB_ID")
        if not number or get("SLURM_JOB_NAME") in ("bash", "interactive"):
            return None
        array, task = get("SLURM_ARRAY_JOB_ID"), get("SLURM_ARRAY_TASK_ID")
        per_node = get("SLURM_NTASKS_PER_NODE")
        return cls(
            number=number,
            name=f"{array}_{task}" if array and task else number,
            restarts=int(get("SLURM_RESTART_COUNT") or 0),
            num_nodes=int(get("SLURM_NNODES") or 1),
            num_tasks=int(get("SLURM_STEP_NUM_TASKS") or get("SLURM_NTASKS") or 1),
            tasks_per_node=int(per_node) if per_node else None,
            rank=int(get("SLURM_PROCID") or 0),
            cpus=int(get("SLURM_CPUS_ON_NODE") or 0) or None,
            logs=get("GENLAB_LOGS"),
        )

    def about(self) -> dict[str, object]:
        """What meta.json says of it."""
        return {"job": self.name, "restarts": self.restarts, "nodes": self.num_nodes, "logs": self.logs}

    def requeue(self) -> Requeued:
        """Queue the job again, unless SLURM has done so, or whoever cancelled it does not want that.

        A job that is preempted with PreemptMode=REQUEUE and no grace time is already in the queue when its tasks
        hear of it: its record then counts one restart more than this process knows of. With a grace time SLURM
        requeues at its end, and not at all where the job exits before: so the job does it, once, and frees its
        nodes early. Cancelled, it is neither running nor restarted, and stays away. In a container without
        scontrol, a file asks the batch script (slurm/job.sh) to do all this.
        """
        record = self.record()
        if not record and self.logs and Path(self.logs).is_dir():
            (Path(self.logs) / "requeue").touch()
            return "by its script"
        if int(record.get("Restarts", self.restarts)) > self.restarts:
            return "by SLURM"
        if record.get("JobState") != "RUNNING" and not self._timed_out(record):
            return "not"
        done = subprocess.run(
            ["scontrol", "requeue", self.number], capture_output=True, text=True, timeout=60
        )
        if done.returncode == 0:
            return "by this job"
        # SLURM may have been faster since the record was read.
        return "by SLURM" if int(self.record().get("Restarts", 0)) > self.restarts else "not"

    def record(self) -> dict[str, str]:
        """SLURM's record of the job; empty where scontrol gives none."""
        try:
            done = subprocess.run(
                ["scontrol", "-o", "show", "job", self.number], capture_output=True, text=True, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired):
            return {}
        lines = done.stdout.splitlines()
        return dict(word.split("=", 1) for word in lines[0].split(" ") if "=" in word) if lines else {}

    def _timed_out(self, record: dict[str, str]) -> bool:
        limit, ran = seconds(record.get("TimeLimit", "")), seconds(record.get("RunTime", ""))
        return limit is not None and ran is not None and ran >= limit


def seconds(text: str) -> int | None:
    """Seconds of SLURM's `[days-]hours:minutes:seconds`; None for UNLIMITED.

    >>> seconds("1-00:01:05"), seconds("UNLIMITED")
    (86465, None)
    """
    days, _, rest = text.rpartition("-")
    try:
        hours, minutes, secs = (int(part) for part in rest.split(":"))
        return (int(days or 0) * 24 + hours) * 3600 + minutes * 60 + secs
    except ValueError:
        return None
