"""The options of this package, which hold for the whole process.

They are set by :func:`valloss_compat.configure`, or by the environment variable
``VALLOSS_COMPAT`` for train scripts that cannot be changed. Contradictions
between the two raise an error. The variable holds a mode, options or both,
separated by commas: ``parity``, ``weighting=sample``,
``default,weighting=sample,strict=true``.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Dict, Iterator, NamedTuple, Tuple

if TYPE_CHECKING:  # Python 3.7 has no Literal
    from typing import Literal

VARIABLE = "VALLOSS_COMPAT"
_ALLOWED: Dict[str, Tuple[Any, ...]] = {
    "mode": ("default", "parity"),
    "weighting": ("batch", "sample"),
    "sync_dist": (True, False),
    "strict": (True, False),
}


class Options(NamedTuple):
    """Immutable values of all options.

    Attributes:
        mode (str): ``'default'`` follows the contract of this package on every
            mmengine. ``'parity'`` reproduces mmengine 0.10.7 with its bugs. ``'off'``
            comes from the environment alone.
        weighting (str): With ``'batch'`` each batch has the same weight, as in
            mmengine. With ``'sample'`` the weight of a batch is its number of
            samples, so that the mean does not depend on batch size or number of
            ranks (:mod:`valloss_compat._recording.batch_size` finds that number).
        sync_dist (bool): Whether to average over all ranks, as hooks decide on each
            rank: with different numbers some would stop while the others wait. With
            False each rank reports its own mean, as always in mode ``'parity'``.
        strict (bool): Whether an unknown structure of mmengine is an error instead
            of a warning.
    """

    mode: Literal["default", "parity", "off"] = "default"
    weighting: Literal["batch", "sample"] = "batch"
    sync_dist: bool = True
    strict: bool = False

    def as_dict(self) -> Dict[str, Any]:
        """Return the options as a dict, for JSON."""
        return dict(self._asdict())


_chosen: Dict[str, Any] = {}
_current = Options()


def current() -> Options:
    """Return the options as they are now."""
    return _current


@contextmanager
def choosing(**given: Any) -> Iterator[Options]:
    """:func:`choose` for a block; where that raises, the choice is dropped."""
    global _chosen, _current
    before = _chosen, _current
    try:
        yield choose(**given)
    except Exception:
        _chosen, _current = before
        raise


def choose(**given: Any) -> Options:
    """Choose options by their names. Those left out or None keep their values.

    Returns:
        Options: Those from the environment, earlier choices and this one.

    Raises:
        ValueError: If a value is not allowed, or contradicts another option or
            the environment.
    """
    global _chosen, _current
    new = {name: value for name, value in given.items() if value is not None}
    for name, value in new.items():
        _check(name, value)
    chosen = {**_chosen, **new}
    environment = _environment()
    for name, value in environment.items():
        if chosen.get(name, value) != value:
            raise ValueError(
                f"{name} is {chosen[name]!r}, but the environment says "
                f"{VARIABLE}={os.environ[VARIABLE]}. Fix: unset the variable, or leave "
                "the argument out"
            )
    options = Options(**{**chosen, **environment})
    if options.mode == "parity" and options.weighting != "batch":
        raise ValueError(
            f"mode='parity' and weighting={options.weighting!r} contradict each other: "
            "parity counts by batches, as mmengine does. Fix: mode='default' or "
            "weighting='batch'"
        )
    _chosen, _current = chosen, options
    return options


def _environment() -> Dict[str, Any]:
    """Parse the environment variable."""
    text = os.environ.get(VARIABLE, "").strip().lower()
    values: Dict[str, Any] = {}
    for part in text.split(",") if text else []:
        name, equals, word = (piece.strip() for piece in part.partition("="))
        if not equals:
            name, word = "mode", name
        value = {"true": True, "false": False}.get(word, word)
        try:
            if name not in _ALLOWED:
                known = ", ".join(_ALLOWED)
                raise ValueError(f"there is no option {name!r}, only {known}")
            _check(name, value, in_variable=True)
            if values.get(name, value) != value:
                raise ValueError(f"{name} is both {values[name]!r} and {value!r}")
        except ValueError as error:
            raise ValueError(
                f"the environment variable {VARIABLE} is {text!r}: {error}. Fix: "
                "correct or unset it"
            ) from None
        values[name] = value
    return values


def _check(name: str, value: Any, in_variable: bool = False) -> None:
    allowed, fix = _ALLOWED[name], ""
    if name == "mode" and in_variable:
        allowed = ("off", *allowed)
    elif name == "mode":
        fix = f" (to switch off, call revert() or set {VARIABLE}=off)"
    if type(value) is not type(allowed[0]) or value not in allowed:
        names = ", ".join(map(str, allowed))
        names = names.lower() if in_variable else names
        raise ValueError(f"{name} is {value!r}, but one of {names} is expected{fix}")
