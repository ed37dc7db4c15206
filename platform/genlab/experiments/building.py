"""From a checkpoint's config to objects: a checkpoint is data, and must not choose what code runs."""

import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from genlab.core import UserError

# What models and data are made of; callbacks and commands write files and start processes.
PARTS = ("core", "probability", "networks", "objectives", "solvers", "families", "data")
ALLOWED_PREFIXES = [*(f"genlab.{part}." for part in PARTS), "torch.nn.", "torch.optim."]


def build(config: Any, hint: Any = None) -> Any:
    """What a resolved config describes: objects for its `class_path`s, anything else as it is.

    The command line's parser is of no use here: it reads strings as YAML, as files and as paths of classes,
    and imports them. Here a string is a string, or the path of an allowed class where an object is asked for.

    Args:
        config: primitives; `class_path` and `init_args` at any depth.
        hint: the type that is asked for; a callable gets a factory, with the `init_args` filled in.

    Raises:
        UserError: a class is outside the allow-list or is not there, or does not take an argument.

    >>> build({"class_path": "genlab.probability.LinearPath", "init_args": {"t_min": 0.25}}).t_min
    0.25
    """
    if isinstance(config, (list, tuple)):
        return [build(value, _entry(hint)) for value in config]
    if isinstance(config, str) and not _takes_text(hint):
        config = {"class_path": config}
    if not isinstance(config, dict):
        return config
    if config.get("class_path") is None:
        return {name: build(value) for name, value in config.items()}
    cls, given = allowed_class(config["class_path"]), config.get("init_args") or {}
    known, hints = inspect.signature(cls).parameters, type_hints(cls)
    for name in given:
        if name not in known:
            raise UserError(
                f"{cls.__name__}: got {name!r} in a checkpoint, expected one of {', '.join(known)}; "
                "it was written by another version of the class"
            )
    arguments = {name: build(value, hints.get(name)) for name, value in given.items()}
    return partial(cls, **arguments) if _is_factory(hint) else cls(**arguments)


def allowed_class(path: Any) -> type:
    """The class at `path`, which an allowed package defines and not merely imports.

    Raises:
        UserError: it is another's, is no class, or is not there.
    """
    allowed = tuple(ALLOWED_PREFIXES)
    if isinstance(path, str) and path.startswith(allowed):
        module, _, name = path.rpartition(".")
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError):
            found = None
        if isinstance(found, type) and found.__module__.startswith(allowed):
            return found
    raise UserError(
        f"class_path: got {path!r} in a checkpoint, expected a class under {', '.join(ALLOWED_PREFIXES)}; "
        f"if you trust it, append its package to {__name__}.ALLOWED_PREFIXES"
    )


def type_hints(cls: type) -> dict[str, Any]:
    """Of a class's arguments, where they can be resolved."""
    try:
        return get_type_hints(cls.__init__)
    except (NameError, TypeError):  # annotations that name what is imported for type checkers alone
        return {}


def _is_factory(hint: Any) -> bool:
    return any(get_origin(option) is Callable for option in _options(hint))


def _entry(hint: Any) -> Any:
    """The type of a sequence's entries, where one of the options is a sequence."""
    sequences = [option for option in _options(hint) if get_origin(option) not in (None, Literal)]
    return next((get_args(option)[0] for option in sequences), None)


def _takes_text(hint: Any) -> bool:
    return any(option in (None, Any, str) or get_origin(option) is Literal for option in _options(hint))


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
