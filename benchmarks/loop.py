"""What the patches cost in a validation: ``ValLoop.run`` of a real Runner.

The model's ``val_step`` returns the same result again and again, there are no
hooks and no metrics, and the dataloader yields None. The remaining cost is that
of the loop, its evaluator and the patches. The cost of the patches is a difference
of few microseconds between two noisy figures, so many short epochs are run in turn
and the median of the differences within a round is taken.

Every iteration enters mmengine's ``autocast``, which takes most of the time. A
second series replaces it, for a difference with less noise.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from statistics import median
from time import perf_counter
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple
from unittest import mock

from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner, loops
from recording import result_with
from switching import in_turns, patch

#: Iterations of one epoch: few, so that a round is short.
LENGTH = 2000
_DEFAULT_HOOKS = (
    "runtime_info",
    "timer",
    "sampler_seed",
    "logger",
    "param_scheduler",
    "checkpoint",
)


class Case(NamedTuple):
    """One kind of epoch.

    Attributes:
        patched (bool): Whether mmengine is patched.
        losses (int): Number of losses in the loss element; 0: there is none.
    """

    patched: bool
    losses: int


NATIVE_WITHOUT = Case(patched=False, losses=0)
HERE_WITHOUT = Case(patched=True, losses=0)
NATIVE_WITH = Case(patched=False, losses=1)
HERE_WITH = Case(patched=True, losses=1)
_CASES = (NATIVE_WITHOUT, HERE_WITHOUT, NATIVE_WITH, HERE_WITH)

#: Case -> microseconds per iteration, one a round.
Rounds = Dict[Case, List[float]]


class Loop(NamedTuple):
    """The results of this module.

    Attributes:
        whole (dict): With mmengine's ``autocast``.
        bare (dict): Without it.
        training (dict): Whether mmengine is patched -> microseconds that the calls of
            hooks take in an iteration of a training, without any hook, one a round.
    """

    whole: Rounds
    bare: Rounds
    training: Dict[bool, List[float]]


class Comparison(NamedTuple):
    """Two cases, in microseconds per iteration.

    Attributes:
        before (float): Median of the first case.
        after (float): Median of the second case.
        difference (float): Median of the differences within a round.
        ratio (float): Median of the ratios within a round.
    """

    before: float
    after: float
    difference: float
    ratio: float


class Batches:
    """A dataloader that takes no time, unlike torch's."""

    dataset = range(1)

    def __len__(self) -> int:
        return LENGTH

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None, LENGTH)


class Model(BaseModel):
    """A model with a ``val_step`` that only returns a given result."""

    result: Any = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Not used: ``val_step`` does not call it."""

    def val_step(self, data: Any) -> Any:
        """Return the result.

        Args:
            data: A batch.
        """
        return self.result


def measure(rounds: int) -> Loop:
    """Measure all epochs.

    Args:
        rounds (int): How often each is measured.
    """
    model = Model()
    with tempfile.TemporaryDirectory() as work_dir:
        runner = Runner(
            model=model,
            work_dir=work_dir,
            val_dataloader=Batches(),
            val_evaluator=Evaluator([]),
            val_cfg={},
            default_hooks=dict.fromkeys(_DEFAULT_HOOKS),
            default_scope="mmengine",
            experiment_name="valloss_compat_benchmark",
            log_level="ERROR",
        )
        loop = runner.val_loop
        whole = _measure(loop, model, rounds)
        with mock.patch.object(loops, "autocast", _no_autocast):
            bare = _measure(loop, model, rounds)
        training = _measure_training(runner, rounds)
    return Loop(whole, bare, training)


def compare(rounds: Rounds, before: Case, after: Case) -> Comparison:
    """Compare two cases.

    Args:
        rounds (dict): The measured times.
        before (Case): The baseline.
        after (Case): The case to compare with it.
    """
    pairs: List[Tuple[float, float]] = list(zip(rounds[before], rounds[after]))
    return Comparison(
        median(rounds[before]),
        median(rounds[after]),
        median(second - first for first, second in pairs),
        median(second / first for first, second in pairs),
    )


def _measure_training(runner: Any, rounds: int) -> Dict[bool, List[float]]:
    """Measure what a training iteration asks of ``call_hook``."""
    outputs = {"loss": 1.0}
    found: Dict[bool, List[float]] = {False: [], True: []}
    for round_idx in range(rounds):
        for patched in in_turns((False, True), round_idx):
            patch(patched)
            start = perf_counter()
            for idx in range(LENGTH):
                runner.call_hook("before_train_iter", batch_idx=idx, data_batch=None)
                runner.call_hook(
                    "after_train_iter", batch_idx=idx, data_batch=None, outputs=outputs
                )
            found[patched].append((perf_counter() - start) / LENGTH * 1e6)
    return found


def _no_autocast(**_: Any) -> Any:
    return contextlib.nullcontext()


def _measure(loop: Any, model: Model, rounds: int) -> Rounds:
    results = {0: result_with(1)[:1], 1: result_with(1)}
    found: Rounds = {case: [] for case in _CASES}
    for round_idx in range(rounds):
        for case in in_turns(_CASES, round_idx):
            patch(case.patched)
            model.result = results[case.losses]
            start = perf_counter()
            metrics = loop.run()
            found[case].append((perf_counter() - start) / LENGTH * 1e6)
            if ("val_loss" in metrics) is not bool(case.losses):
                raise RuntimeError(f"{case} reported {metrics}")
    return found
