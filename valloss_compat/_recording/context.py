"""What runs in this thread: a loop's ``run``, and an evaluator's ``evaluate``."""

from __future__ import annotations

import threading
import weakref
from typing import Any, Callable, Dict, Generic, List, Optional, Tuple, TypeVar

from mmengine.evaluator import Evaluator
from mmengine.runner import TestLoop, ValLoop

Value = TypeVar("Value")


class RunContext:
    """One call of a loop's ``run``.

    Attributes:
        loop: The loop.
        stage (str): ``'val'`` or ``'test'``.
        evaluators (list): Those of the loop.
        key (object): Stands for this run without keeping its loop alive.
        epochs (dict): ``id()`` of an evaluator -> it and its epoch, as far as they
            are known by now.
    """

    __slots__ = ("epochs", "evaluators", "key", "loop", "stage")

    def __init__(self, loop: Any, stage: str) -> None:
        self.loop = loop
        self.stage = stage
        self.evaluators = evaluators_of(loop)
        self.key = object()
        self.epochs: Dict[int, Tuple[Any, Any]] = {}

    def reporting_evaluator(self, evaluator: Any) -> Any:
        """The evaluator whose epoch takes the losses.

        Where a loop merges the metrics of several evaluators, one ``val_loss`` comes
        with the last of them, over all: two of that name would contradict (and
        mmagic's ``MultiValLoop`` raises).
        """
        if len(self.evaluators) > 1 and any(
            evaluator is known for known in self.evaluators
        ):
            return self.evaluators[-1]
        return evaluator


class ThreadContext(threading.local):
    """What runs in this thread.

    Attributes:
        run (RunContext, optional): The innermost run of a loop.
        iteration (RunContext, optional): The call of ``run_iter``, in parity mode.
        evaluating (Evaluator, optional): The one whose ``evaluate`` runs.
        extracted (list, optional): The last result without its loss element. Where it
            is handed on, a second element in it is no loss element any more.
    """

    run: Optional[Any] = None
    iteration: Optional[Any] = None
    evaluating: Optional[Any] = None
    extracted: Optional[Any] = None


class WeakIdentityMap(Generic[Value]):
    """Values by the identity of an object, for as long as that object lives.

    ``weakref.WeakKeyDictionary`` hashes and compares its keys, which an evaluator
    with an ``__eq__`` of its own does not survive.

    Args:
        make (Callable): Makes the value of an object that is new here.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._entries: Dict[int, Tuple[weakref.ReferenceType[Any], Value]] = {}

    def __getitem__(self, owner: Any) -> Value:
        key = id(owner)
        entry = self._entries.get(key)
        if entry is None:
            entries = self._entries
            try:
                reference = weakref.ref(owner, lambda _: entries.pop(key, None))
            except TypeError:  # as of a SimpleNamespace: it has a new value each time
                return self._make()
            entry = entries.setdefault(key, (reference, self._make()))
        return entry[1]

    def __len__(self) -> int:
        return len(self._entries)


def evaluators_of(loop: Any) -> List[Any]:
    """All evaluators of a loop.

    A loop over several datasets, as mmagic's ``MultiValLoop``, has a list
    ``evaluators`` of one for each, and merges their metrics. A ``ValLoop`` has
    one; what else it may hold, it evaluates for itself.
    """
    several = None
    if not isinstance(loop, (ValLoop, TestLoop)):
        several = getattr(loop, "evaluators", None)
    if not isinstance(several, (list, tuple)):
        several = [getattr(loop, "evaluator", None)]
    return [known for known in several if isinstance(known, Evaluator)]
