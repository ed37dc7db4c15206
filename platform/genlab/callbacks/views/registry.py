"""All views by name, and which of them a model gets."""

from typing import Any, Literal

from genlab.callbacks.views.aggregate import aggregate
from genlab.callbacks.views.codebook import code_patches, code_usage, token_maps
from genlab.callbacks.views.interpolations import interpolations
from genlab.callbacks.views.posterior import posterior
from genlab.callbacks.views.prior import prior
from genlab.callbacks.views.traversals import traversals
from genlab.callbacks.views.view import View
from genlab.core import (
    CanDecode,
    CanEncode,
    CanReconstruct,
    CanTokenize,
    HasLatentPrior,
    HasPosterior,
    invalid,
    require,
)

VIEWS = {
    "prior": View((CanReconstruct, HasLatentPrior, CanDecode), prior),
    "posterior": View((CanEncode, HasPosterior, CanDecode), posterior),
    "traversals": View((CanEncode, CanDecode), traversals),
    "interpolations": View((CanEncode, CanDecode), interpolations),
    "aggregate": View((CanEncode,), aggregate, images=False),
    "tokens": View((CanTokenize,), token_maps),
    "codes": View((CanTokenize,), code_patches),
    "usage": View((CanTokenize,), code_usage, images=False),
}

Names = Literal["auto", "none"] | list[str]


def known_views(names: Names) -> Names:
    """The names themselves.

    Raises:
        UserError: there is no such view.
    """
    if names not in ("auto", "none"):
        asked = [names] if isinstance(names, str) else names
        for name in asked:
            expected = f"auto, none, or some of {', '.join(VIEWS)}"
            require(name in VIEWS and names is asked, "samples.views", name, expected, "choose among these")
    return names


def choose_views(names: Names, model: Any) -> list[str]:
    """Those that a model gets; of "auto", all that it can give and that show something.

    Moved one at a time, features that a quantiser rounds mostly round to the code that they had.

    Raises:
        UserError: one that is asked for needs what the model lacks.
    """
    able = [name for name, view in VIEWS.items() if view.suits(model)]
    if isinstance(names, str):
        rounds = isinstance(model, CanTokenize)
        return [n for n in able if not (rounds and n == "traversals")] if names == "auto" else []
    for name in names:
        if name not in able:
            needs = ", ".join(need.__name__ for need in VIEWS[name].needs)
            lacks = f"{type(model).__name__} gives {', '.join(able) or 'none'}"
            raise invalid("samples.views", name, f"a model that has {needs}; {lacks}", "leave it out")
    return list(names)
