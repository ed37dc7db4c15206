"""Where the time of a training step goes, by what its operators do."""

from collections import Counter
from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile

# In this order: the first whose word is in an operator's name has it.
KINDS = {
    "convolutions": ("conv",),
    "attention": ("attention",),
    "norms": ("norm",),
    "products": ("mm",),
    "optimiser": ("optimizer", "_foreach", "fused"),
    "activations": ("silu", "gelu", "tanh"),
}


def kind_of(operator: str) -> str:
    """What an operator is counted as.

    >>> kind_of("aten::mkldnn_convolution"), kind_of("aten::addmm"), kind_of("aten::cat")
    ('convolutions', 'products', 'other')
    """
    name = operator.lower()
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), "other")


def shares(step: Callable[[], object], rounds: int = 5) -> dict[str, float]:
    """The share of the processor's time that each kind of operator takes, the largest first; they add to 1."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(rounds):
            step()
    seconds: Counter[str] = Counter()
    for event in found.key_averages():
        seconds[kind_of(event.key)] += event.self_cpu_time_total
    total = sum(seconds.values())
    return {kind: value / total for kind, value in seconds.most_common()}


def in_words(found: dict[str, float]) -> str:
    """As percentages.

    >>> in_words({"convolutions": 0.66, "other": 0.34})
    'convolutions 66%, other 34%'
    """
    return ", ".join(f"{kind} {value:.0%}" for kind, value in found.items())
