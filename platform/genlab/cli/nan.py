"""Numbers of a config that are none."""

from typing import Any

from jsonargparse import Namespace

from genlab.core import invalid


def refuse_nan(config: Any, name: str = "") -> None:
    """Refuse a config in which a number is NaN, which passes comparisons that it should not.

    Raises:
        UserError: naming the first.

    >>> refuse_nan({"model": {"lr": [0.1, float("nan")]}})
    Traceback (most recent call last):
        ...
    genlab.core.errors.UserError: model.lr.1: got nan, expected a number; choose one
    """
    if isinstance(config, float) and config != config:
        raise invalid(name, config, "a number", "choose one")
    if isinstance(config, Namespace):
        config = vars(config)
    if isinstance(config, list | tuple):
        config = dict(enumerate(config))
    if isinstance(config, dict):
        for key, value in config.items():
            refuse_nan(value, f"{name}.{key}" if name else str(key))
