"""The options of this package, which hold for the whole process.

They are set by :func:`valloss_compat.configure`, or by the environment variable
``VALLOSS_COMPAT`` for train scripts that cannot be changed. Contradictions
between the two raise an error. The variable holds a mode, options or both,
separated by commas: ``parity``, ``weighting=sample``,
``default,weighting=sample,strict=true``.
"""

from __future__ import annotations

import os
from typing import Any, Dict, NamedTuple, Tuple

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
            mmengine. ``'parity'`` reproduces mmengine 0.10.7 with its bugs, so
            that an older release gives the same numbers. Defaults to
            ``'default'``.
        weighting (str): With ``'batch'`` each batch has the same weight, as in
            mmengine. With ``'sample'`` the weight of a batch is its number of
            samples, so that the mean does not depend on batch size or number
            of ranks (:mod:`valloss_compat._recording.batch_size` finds that
            number). Defaults to ``'batch'``.
        sync_dist (bool): Whether to average over all ranks. With False each
            rank reports its own mean, for loops that evaluate on one rank only.
            Mode ``'parity'`` never averages over ranks, as mmengine. Defaults
            to True, because hooks decide on each rank: with different numbers
            some ranks would stop while the others wait for them.
        strict (bool): Whether an unknown structure of mmengine is an error
            instead of a warning. Defaults to False, because a missing
            validation loss should not stop training.
    """

    mode: str = "default"
    weighting: str = "batch"
    sync_dist: bool = True
    strict: bool = False

    def as_dict(self) -> Dict[str, Any]:
        """Return the options as a dict, for JSON."""
        return dict(self._asdict())


_chosen: Dict[str, Any] = {}
_current = Options()


def current() -> Options:
    """Return the options of the last call of :func:`choose`."""
    return _current


def snapshot() -> Tuple[Dict[str, Any], Options]:
    """Return the state of this module for :func:`restore`."""
    return _chosen, _current


def restore(saved: Tuple[Dict[str, Any], Options]) -> None:
    """Restore a state of this module after a choice could not be applied.

    Args:
        saved (tuple): The state that :func:`snapshot` returned.
    """
    global _chosen, _current
    _chosen, _current = saved


def choose(**given: Any) -> Options:
    """Choose options. Options that are left out or None keep their values.

    Args:
        **given: Values by the names of :class:`Options`.

    Returns:
        Options: The options from the environment, earlier choices and this one.

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
                f"{VARIABLE}={os.environ[VARIABLE]}: unset the variable or leave "
                "the argument out"
            )
    options = Options(**{**chosen, **environment})
    if options.mode == "parity" and options.weighting != "batch":
        raise ValueError(
            f"mode='parity' and weighting={options.weighting!r} contradict: native "
            "mmengine, which parity equals bug for bug, counts by batches; choose "
            "mode='default' or weighting='batch'"
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
                raise ValueError(f"there is no option {name!r}, but {known}")
            if (name, value) != ("mode", "off"):
                _check(name, value, "off, ")
            if values.get(name, value) != value:
                raise ValueError(f"{name} is both {values[name]!r} and {value!r}")
        except ValueError as error:
            raise ValueError(
                f"the environment variable {VARIABLE} is {text!r}: {error}: correct "
                "or unset it"
            ) from None
        values[name] = value
    return values


def _check(name: str, value: Any, off: str = "") -> None:
    allowed = _ALLOWED[name]
    if type(value) is type(allowed[0]) and value in allowed:
        return
    names, fix = ", ".join(map(str, allowed)), ""
    if off and name != "mode":
        names = names.lower()  # as they are spelled in the variable
    elif name == "mode":
        names = off + names
        if not off:
            fix = f" (to switch off, call revert() or set {VARIABLE}=off)"
    raise ValueError(f"{name} is {value!r}, but one of {names} is expected{fix}")
