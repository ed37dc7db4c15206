"""Settings of a trained model that are given anew when it is loaded: its solver, its temperature, its guidance."""

import copy
import hashlib
import inspect
import re
from collections.abc import Mapping
from typing import Any

from genlab.core import invalid, require
from genlab.experiments.building import allowed_class, type_hints

Changes = Mapping[str, str]  # dotted name -> value in YAML, as {"solver.num_steps": "50"}
LONGEST = 120  # of a suffix: names of files have at most 255 characters


def changed(config: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """A model's resolved config, `class_path` and `init_args`, with other settings.

    Args:
        config: of the model; it stays as it is.
        changes: by name; `init_args` within names may be left out.

    Raises:
        UserError: there is no such setting, or the value is not of its type.

    >>> model = {"class_path": "genlab.families.Diffusion", "init_args": {"guidance_scale": 1.0}}
    >>> changed(model, {"guidance_scale": "2"})["init_args"]
    {'guidance_scale': 2.0}
    """
    config = copy.deepcopy(config)
    for name, text in changes.items():
        *way, last = [word for word in name.split(".") if word != "init_args"]
        node, place = config, "model"
        for word in way:
            place, node = f"{place}.{word}", _part(node, word, place)
        hint = _hint(node, last, place)
        node.setdefault("init_args", {})[last] = _value(f"{place}.{last}", text, hint)
    return config


def suffix(changes: Changes) -> str:
    """For the names of files that are made with such settings; "" without any. A long one ends with a hash of the rest.

    >>> suffix({"decoding.temperature": "0.9", "solver": "genlab.solvers.DDIM"})
    '_decoding.temperature=0.9_solver=genlab.solvers.DDIM'
    """
    parts = (f"_{name}={value}" for name, value in changes.items())
    text = re.sub(r"[^\w.=+-]+", "-", "".join(parts))
    if len(text) <= LONGEST:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return f"{text[: LONGEST - 9]}-{digest}"


def _part(node: dict[str, Any], word: str, place: str) -> dict[str, Any]:
    """The config of an object's argument that is an object itself."""
    _hint(node, word, place)
    part = (node.get("init_args") or {}).get(word)
    if isinstance(part, str):
        part = node["init_args"][word] = {"class_path": part, "init_args": {}}
    name, expected = f"{place}.{word}", "a part with settings of its own"
    ok = isinstance(part, dict) and part.get("class_path") is not None
    require(ok, name, part, expected, f"give its class, as in --{name}=genlab.solvers.DDIM")
    return part


def _hint(node: dict[str, Any], word: str, place: str) -> Any:
    """The type of an object's argument."""
    cls = allowed_class(node["class_path"])
    known = [name for name in inspect.signature(cls).parameters if name != "spec"]
    require(word in known, place, word, f"one of {', '.join(known)}", f"these are settings of {cls.__name__}")
    return type_hints(cls).get(word, Any)


def _value(name: str, text: str, hint: Any) -> Any:
    """A value as `lightning fit` reads it."""
    from jsonargparse import ArgumentError, ArgumentParser, Namespace

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=hint)
    try:
        value = parser.parse_args([f"--value={text}"]).value
    except ArgumentError as error:
        kind = getattr(hint, "__name__", str(hint))
        remedy = "`lightning fit --help=all` tells what it takes"
        raise invalid(name, text, kind.replace("typing.", ""), remedy) from error
    return value.as_dict() if isinstance(value, Namespace) else value
