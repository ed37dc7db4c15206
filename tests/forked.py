"""The command line in a process of its own, forked from the tests', which have everything imported."""

import os
import pty
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit status, or minus the signal it died of, and its standard error."""

    status: int
    err: str


def lightning(*words: object, arrange: Callable[[], None] | None = None, terminal: bool = False) -> Ended:
    """Run a command; `arrange` is called in the new process before it, whose standard error may be a terminal."""
    from genlab.cli.main import run

    def work() -> int:
        if arrange:
            arrange()
        return run([str(word) for word in words])

    return apart(work, terminal)


def apart(work: Callable[[], int | None], terminal: bool = False) -> Ended:
    """Call a function in a new process, whose exit status is its answer, 0 for None."""
    sys.stdout.flush()
    read, write = pty.openpty() if terminal else os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.close(read)
            os.dup2(write, 2)
            os.close(write)
            sys.stderr = os.fdopen(2, "w", buffering=1)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            status = work() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write)
    said = b""
    with suppress(OSError):  # a terminal whose other end was closed
        while chunk := os.read(read, 4096):
            said += chunk
    os.close(read)
    return Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode())


def several(num: int) -> Callable[[], None]:
    """To arrange: the new process is the first of so many of one run, in a session of their own.

    As Lightning starts them, but for their imports; `run.id` must be given.
    """

    def arrange() -> None:
        from lightning.pytorch.utilities import rank_zero_only

        from genlab.experiments.ranks import SHARED

        os.setsid()
        os.environ.pop(SHARED, None)  # the run of an earlier command in this process
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
        os.environ |= {"WORLD_SIZE": str(num), "LOCAL_RANK": "0"}
        for rank in range(1, num):
            if os.fork() == 0:
                os.environ["LOCAL_RANK"] = str(rank)
                rank_zero_only.rank = rank
                return

    return arrange
