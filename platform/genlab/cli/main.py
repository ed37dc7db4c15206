"""One program, many commands: the first word decides before anything heavy is imported."""

import errno
import importlib
import os
import signal
import sys
from collections.abc import Callable

from genlab.cli.words import CommandParser, did_you_mean, fail
from genlab.stop_signals import stop_signals

TRAINER_COMMANDS = {
    "fit": "train a model from a config",
    "validate": "losses and metrics of a checkpoint on the validation split",
    "test": "losses of a checkpoint on the test split (scores of its samples: evaluate)",
    "predict": "reconstructions of the test split (new samples: sample)",
}
COMMANDS = {
    "doctor": ("genlab.cli.doctor", "check this machine or allocation before training on it"),
    "sample": ("genlab.cli.sample", "draw samples from a checkpoint"),
    "evaluate": ("genlab.cli.evaluate", "score a checkpoint, with the protocol beside each score"),
    "compare": ("genlab.cli.compare", "runs side by side: a table and a page"),
    "sweep": ("genlab.cli.sweep", "search over configs by a W&B sweep file, with or without its server"),
    "dashboard": ("genlab.cli.dashboard", "a W&B workspace and report of a project, as code"),
    "list": ("genlab.cli.listing", "the families and the configs"),
    "runs": ("genlab.cli.runs", "runs with their state, step, rate, time left, score and SLURM job"),
    "logs": ("genlab.cli.logs", "what a run printed, also while it runs"),
    "prune": ("genlab.cli.prune", "checkpoints that may go, under a quota; deletes with --yes alone"),
    "submit": ("genlab.cli.submit", "check a config and hand it to SLURM"),
    "ema": ("genlab.cli.ema", "an average of a run's weights, of any length, after training"),
    "export": ("genlab.cli.export", "weights as safetensors, with their config"),
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: list[str] | None = None) -> None:
    """Run a command and exit with its status: 0, 1 for a failure during work, 2 for a mistake in what was given."""
    words = sys.argv[1:] if argv is None else argv
    sys.exit(run(words))


def run(words: list[str]) -> int:
    """Run a command in this process; its exit status."""
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0
    if words[0] in ("-V", "--version"):
        from genlab import __version__

        print(f"genlab {__version__}")
        return 0
    name, rest = words[0], words[1:]
    if name not in TRAINER_COMMANDS and name not in COMMANDS:
        known = [*TRAINER_COMMANDS, *COMMANDS]
        hint = did_you_mean(name, known) or "see `lightning --help`"
        return fail(f"command: got {name!r}, expected one of {', '.join(known)}; {hint}", 2)
    return guarded(lambda: _dispatch(name, rest))


def _dispatch(name: str, rest: list[str]) -> int:
    if name in TRAINER_COMMANDS:
        if rest in (["--help"], ["-h"]):
            from genlab.cli.trainer_help import page

            print(page(name))
            return 0
        if rest in (["--help=all"], ["--help", "all"]):
            rest = ["--help"]
        if name == "fit" and "SLURM_JOB_ID" in os.environ:  # before the seconds that imports take
            stop_signals.install(signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
        return importlib.import_module("genlab.cli.fit").run(name, rest)
    module = importlib.import_module(COMMANDS[name][0])
    if not hasattr(module, "add_arguments"):  # it takes the words of `fit`
        return module.run(rest)
    parser = CommandParser(prog=f"lightning {name}", description=module.__doc__)
    module.add_arguments(parser)
    if getattr(module, "TAKES_MODEL", False):  # settings of the model that it loads
        return module.run(parser.parse_with_settings(rest, "model"))
    if not getattr(module, "PASSES_ON", False):
        return module.run(parser.parse_args(rest))
    arguments, overrides = parser.parse_known_args(rest)  # what it does not know is the config's
    return module.run(arguments, overrides)


def guarded(work: Callable[[], int]) -> int:
    """Run `work`; a user's mistake or a failure during work becomes one line and a status."""
    try:
        status = work()
        sys.stdout.flush()  # here, where a reader that has gone is no error
        return status
    except KeyboardInterrupt:
        return fail("interrupted", 130)
    except BrokenPipeError:
        # What is still held would be written, and complained about, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from genlab.core.errors import (  # imports torch, so only where something failed
            UserError,
            WorkError,
            causes,
        )

        # What a callback meets while it deals with a failure, such as a full disk again, is not the failure.
        for cause in reversed(causes(error)) if isinstance(error, OSError) else [error]:
            if isinstance(cause, (UserError, WorkError)):
                return fail(str(cause), 2 if isinstance(cause, UserError) else 1)
        if isinstance(error, OSError) and error.errno in FULL:
            where = f" {error.filename}" if error.filename else ""
            return fail(f"disk: could not write{where} ({error.strerror}); free some space and try again", 1)
        if type(error).__name__ == "OutOfMemoryError":  # torch's
            smaller = "pass a smaller --batch_size (in training, --data.batch_size)"
            return fail(f"memory: {str(error).split('. ')[0]}; {smaller}", 1)
        raise


def usage() -> str:
    """The help of the whole program."""
    rows = [*TRAINER_COMMANDS.items(), *((name, text) for name, (_, text) in COMMANDS.items())]
    lines = "\n".join(f"  {name:<10} {text}" for name, text in rows)
    return (
        "usage: lightning COMMAND ...\n\n"
        "Experiments with generative models: train, sample, score, compare.\n\n"
        f"{lines}\n\n"
        "Start with:\n"
        "  lightning fit --config configs/diffusion/flow_matching_digits.yaml\n"
        "  lightning COMMAND --help"
    )
