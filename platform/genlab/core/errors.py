"""Errors that a user can act on."""

import math


class UserError(ValueError):
    """A mistake in what the user gave: one line, shown without a traceback, exit status 2."""


class WorkError(RuntimeError):
    """A failure during work (a NaN loss, a full disk): one line, shown without a traceback, exit status 1."""


def invalid(argument: str, got: object, expected: str, remedy: str) -> UserError:
    """The one form of such an error: what argument, what came, what was expected, what to do.

    >>> str(invalid("batch_size", 0, "a positive integer", "pass --data.batch_size=128"))
    'batch_size: got 0, expected a positive integer; pass --data.batch_size=128'
    """
    return UserError(f"{argument}: got {got!r}, expected {expected}; {remedy}")


def require(condition: bool, argument: str, got: object, expected: str, remedy: str) -> None:
    """Raise `invalid(...)` unless `condition` holds."""
    if not condition:
        raise invalid(argument, got, expected, remedy)


def require_positive(**sizes: int) -> None:
    """Raise `invalid(...)` for the first of these counts or sizes that is below 1.

    >>> require_positive(depth=12, width=0)
    Traceback (most recent call last):
        ...
    genlab.core.errors.UserError: width: got 0, expected at least 1; raise it
    """
    for name, size in sizes.items():
        require(size >= 1, name, size, "at least 1", "raise it")


def require_finite(**numbers: float) -> None:
    """Raise `invalid(...)` for the first of these that is infinite, or no number.

    >>> require_finite(scale=2.0, shift=float("inf"))
    Traceback (most recent call last):
        ...
    genlab.core.errors.UserError: shift: got inf, expected a finite number; choose one
    """
    for name, number in numbers.items():
        require(math.isfinite(number), name, number, "a finite number", "choose one")


def causes(error: BaseException | None) -> list[BaseException]:
    """An error and what led to it, outermost first.

    >>> try:
    ...     raise UserError("rate: got -1") from KeyError("rate")
    ... except UserError as error:
    ...     [type(link).__name__ for link in causes(error)]
    ['UserError', 'KeyError']
    """
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links
