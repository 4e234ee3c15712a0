"""What a user may choose, once for a process.

An option has one value, wherever it is set: the environment variable
``VALLOSS_COMPAT`` (for a train script that is not to be touched) and
:func:`valloss_compat.configure` must agree, and contradictions raise. The
variable holds a mode, options, or both, separated by commas: ``parity``,
``weighting=sample``, ``default,weighting=sample,strict=true``.
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
    """The options, frozen; :func:`valloss_compat.configure` makes another one.

    Attributes:
        mode (str): ``'default'``: the contract of this package, on every
            mmengine. ``'parity'``: bug for bug what native mmengine 0.10.7
            does, to reproduce its numbers on an older release. Defaults to
            ``'default'``, because native has defects that users pay for.
        weighting (str): ``'batch'``: each batch counts the same. ``'sample'``:
            each batch counts by its number of samples, so that the mean hangs
            neither on the batch size nor on the number of ranks (how that
            number is found: :mod:`valloss_compat._recording.batch_size`). Defaults to
            ``'batch'``, because that is mmengine's convention and needs to
            know nothing of the batch.
        sync_dist (bool): Whether the means are over all ranks. With False
            each rank reports its own, for a loop whose ``run`` evaluates on
            one rank only; mode ``'parity'`` is rank-local in any case, as native
            mmengine is. Defaults to True, because hooks decide on each rank
            for themselves: by different numbers some ranks would stop and
            the others wait for them.
        strict (bool): Whether an mmengine of unknown shape is an error.
            Defaults to False, because a training must not end for want of a
            validation loss: there is one warning.
    """

    mode: str = "default"
    weighting: str = "batch"
    sync_dist: bool = True
    strict: bool = False

    def as_dict(self) -> Dict[str, Any]:
        """Option name -> value, for JSON."""
        return dict(self._asdict())


_chosen: Dict[str, Any] = {}
_current = Options()


def current() -> Options:
    """The options as the last :func:`choose` found them."""
    return _current


def snapshot() -> Tuple[Dict[str, Any], Options]:
    """What was chosen, for :func:`restore`."""
    return _chosen, _current


def restore(saved: Tuple[Dict[str, Any], Options]) -> None:
    """Go back, where what was chosen could not be done."""
    global _chosen, _current
    _chosen, _current = saved


def choose(**given: Any) -> Options:
    """Choose options; what is not given, or None, stays as it is.

    Args:
        **given: Option name (of :class:`Options`) -> value.

    Returns:
        Options: What the environment, earlier choices and these come to.

    Raises:
        ValueError: If a value is not known, or two sources contradict.
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
    """What the environment variable says: option name -> value."""
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
        names = names.lower()  # as the variable has them
    elif name == "mode":
        names = off + names
        if not off:
            fix = f" (to switch off, call revert() or set {VARIABLE}=off)"
    raise ValueError(f"{name} is {value!r}, but one of {names} is expected{fix}")
