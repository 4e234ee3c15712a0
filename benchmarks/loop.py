"""What the patches cost in a validation: ``ValLoop.run`` of a real Runner.

The model's ``val_step`` returns the same result again and again, there are no
hooks and no metrics, and the dataloader gives nothing: what is left is the
loop, its evaluator and the patches. The cost of the patches is a difference of
few microseconds between two noisy figures, so that many short epochs are run
in turns and the median of the differences within a round is taken.

Every iteration enters mmengine's ``autocast``, which takes the most time of
all. It is left as it is; a second series leaves it out, for a difference with
less noise.
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

#: Iterations of one epoch: short, so that a round is over soon.
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
    """All that was measured here.

    Attributes:
        whole (dict): With mmengine's ``autocast``.
        bare (dict): Without it.
    """

    whole: Rounds
    bare: Rounds


class Comparison(NamedTuple):
    """Two cases side by side, in microseconds per iteration.

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
    """A dataloader that takes no time: mmengine's own would drown the rest."""

    dataset = range(1)

    def __len__(self) -> int:
        return LENGTH

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None, LENGTH)


class Model(BaseModel):
    """A model whose ``val_step`` only returns the result it was given."""

    result: Any = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Nobody calls this: ``val_step`` below does without."""

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
    return Loop(whole, bare)


def compare(rounds: Rounds, before: Case, after: Case) -> Comparison:
    """Put two cases side by side.

    Args:
        rounds (dict): What was measured.
        before (Case): What the other is compared with.
        after (Case): The other.
    """
    pairs: List[Tuple[float, float]] = list(zip(rounds[before], rounds[after]))
    return Comparison(
        median(rounds[before]),
        median(rounds[after]),
        median(second - first for first, second in pairs),
        median(second / first for first, second in pairs),
    )


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
