"""The words of a command line: what they must be, and what was meant where they are not."""

import argparse
import os
import sys
from collections.abc import Iterable
from typing import NoReturn


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question to the user, or nothing where no known name is near.

    >>> did_you_mean("trainer.max_step", ["trainer.max_steps", "ema.decays"])
    "did you mean 'trainer.max_steps'?"
    >>> did_you_mean("nonsense", ["fit", "sample"])
    ''
    """
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def fail(message: str, status: int) -> int:
    """One line on standard error; of several processes of a run, each speaks for itself."""
    process = os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or "0"
    error = "error" if process == "0" else f"error in process {process}"
    print(f"{error}: {' '.join(message.split())}", file=sys.stderr)
    return status


class CommandParser(argparse.ArgumentParser):
    """ArgumentParser whose errors are one line, and that takes no abbreviations."""

    def __init__(self, **settings: object):
        settings = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False} | settings
        super().__init__(**settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        wrong = message.removeprefix("unrecognized arguments: ").split()[0].split("=")[0]
        options = [option for action in self._actions for option in action.option_strings]
        hint = did_you_mean(wrong, options) if wrong != message.split()[0] else ""
        self.exit(fail(f"{message}; {hint or f'see `{self.prog} --help`'}", 2))

    def parse_with_settings(self, words: list[str], name: str) -> argparse.Namespace:
        """Arguments, and `settings`: what is given by --NAME.SETTING=VALUE or --NAME.SETTING VALUE, by its setting."""
        arguments, others = self.parse_known_args(words)
        settings, left, prefix = {}, iter(others), f"--{name}."
        for word in left:
            if not word.startswith(prefix):
                self.error(f"unrecognized arguments: {' '.join([word, *left])}")
            setting, equals, value = word.removeprefix(prefix).partition("=")
            found = value if equals else next(left, None)
            if found is None:
                self.error(f"argument {word}: expected one argument")
            settings[setting] = found
        arguments.settings = settings
        return arguments
