"""What is under way in a thread: a loop's run, one of its iterations."""

from __future__ import annotations

import operator
import threading
import weakref
from contextlib import suppress
from typing import (
    Any,
    Callable,
    Dict,
    Generic,
    List,
    NamedTuple,
    Optional,
    Tuple,
    TypeVar,
)

from mmengine.evaluator import Evaluator
from mmengine.runner import TestLoop, ValLoop

from valloss_compat._recording.loss_element import Losses

Value = TypeVar("Value")


class WeakIdentityMap(Generic[Value]):
    """Values by the identity of an object, for as long as that object lives.

    ``weakref.WeakKeyDictionary`` hashes and compares its keys, which an
    evaluator with an ``__eq__`` of its own does not survive. What allows no weak
    reference, as a ``SimpleNamespace``, has a new value each time.

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
                gone = weakref.ref(owner, lambda _: entries.pop(key, None))
            except TypeError:
                return self._make()
            # Another thread may have been quicker.
            entry = entries.setdefault(key, (gone, self._make()))
        return entry[1]

    def __len__(self) -> int:
        return len(self._entries)


class RunToken:
    """Stands for a run without keeping its loop alive.

    Args:
        loop: The loop.

    Attributes:
        over (bool): Whether the run has ended.
        loop (Callable): Gives the loop; None if it is gone.
    """

    __slots__ = ("loop", "over")

    def __init__(self, loop: Any) -> None:
        self.over = False
        self.loop: Callable[[], Any] = lambda: None
        with suppress(TypeError):  # it may allow no weak reference
            self.loop = weakref.ref(loop)


class RunContext:
    """One call of a loop's ``run``.

    Attributes:
        loop: The loop.
        stage (str): ``'val'`` or ``'test'``.
        evaluators (list): Those of the loop.
        token (Token): Stands for this run.
        reported (bool): Whether an evaluator reported the losses of this run.
    """

    __slots__ = ("evaluators", "loop", "reported", "stage", "token")

    def __init__(self, loop: Any, stage: str) -> None:
        self.loop = loop
        self.stage = stage
        self.evaluators = evaluators_of(loop)
        self.token = RunToken(loop)
        self.reported = False


class ExtractedResult(NamedTuple):
    """A step's result whose loss element was taken off.

    Attributes:
        raw: The result as the model returned it.
        element (BaseDataElement): Its last item, the loss element.
        clean: The same without it.
        losses (Mapping): What the loss element held.
        items (tuple): What was in the result then: it may change in place, as
            the clean one may.
    """

    raw: Any
    element: Any
    clean: Any
    losses: Losses
    items: Tuple[Any, ...]


class IterationContext:
    """One call of a loop's ``run_iter``.

    Attributes:
        loop: The loop.
        stage (str): ``'val'`` or ``'test'``.
        data_batch: What the dataloader gave.
        in_run (bool): Whether it is one of a run of this loop.
        taken (tuple[Taken]): The results that had a loss element.
        handed (tuple[Taken]): Those that native mmengine handed over itself.
        used (bool): Whether an evaluator was given one of these.
    """

    __slots__ = ("data_batch", "handed", "in_run", "loop", "stage", "taken", "used")

    def __init__(self, loop: Any, stage: str, data_batch: Any = None) -> None:
        self.loop = loop
        self.stage = stage
        self.data_batch = data_batch
        self.in_run = False
        # No lists: most often there is nothing, in each iteration.
        self.taken: Tuple[ExtractedResult, ...] = ()
        self.handed: Tuple[ExtractedResult, ...] = ()
        self.used = False

    def find(self, result: Any) -> Optional[ExtractedResult]:
        """What was taken off this very result, raw or clean, the latest first."""
        for taken in reversed(self.taken):
            # A list, or the loss element in it, may have been filled again since.
            if result is taken.clean or (
                result is taken.raw
                and len(result) == len(taken.items)
                and all(map(operator.is_, result, taken.items))
                and getattr(taken.element, "loss", None) is taken.losses
            ):
                found: ExtractedResult = taken
                return found
        return None


class ThreadContext(threading.local):
    """What is under way in this thread, innermost last."""

    def __init__(self) -> None:
        self.runs: List[RunContext] = []
        self.iterations: List[IterationContext] = []
        self.evaluators: List[Any] = []

    @property
    def run(self) -> Optional[RunContext]:
        """The innermost run."""
        return self.runs[-1] if self.runs else None

    @property
    def iteration(self) -> Optional[IterationContext]:
        """The innermost iteration."""
        return self.iterations[-1] if self.iterations else None

    def reporting_evaluator(self, evaluator: Any) -> Any:
        """The evaluator whose epoch takes the losses.

        Where a loop that runs merges the metrics of several evaluators, one
        ``val_loss`` comes with the last of them, over all: two of that name
        would contradict (and mmagic's ``MultiValLoop`` raises).
        """
        run = self.run
        if run is None or len(run.evaluators) < 2:
            return evaluator
        if evaluator is None or any(evaluator is known for known in run.evaluators):
            return run.evaluators[-1]
        return evaluator


def evaluator_of(loop: Any) -> Optional[Any]:
    """A loop's evaluator; None for what is none of mmengine's, a list of them, say."""
    evaluator = getattr(loop, "evaluator", None)
    return evaluator if isinstance(evaluator, Evaluator) else None


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
