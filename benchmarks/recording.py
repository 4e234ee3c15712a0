"""What recording the losses of one iteration costs, over the length of the epoch.

Both sides do the same job on the same result of a ``val_step``: check whether its
last item is a loss element, extract it, and add its losses.

- native: ``mmengine.runner.loops._update_losses`` of the installed mmengine,
  unpatched. It appends to a ``HistoryBuffer``, which copies the history, so an
  iteration costs more the later it comes in the epoch.
- here: ``loss_element.extract_losses`` and ``EpochAccumulators.record``.

A figure is the mean cost per iteration of an epoch, the least of several rounds.
This package runs whole epochs of every length. Native epochs run whole up to
``NATIVE_WHOLE``, because a million iterations with ten losses would take more than
an hour. Longer ones are sampled: each ``HistoryBuffer`` is filled to a point of the
epoch, some updates are timed there, and each point represents the iterations around
it. :attr:`Recording.check` compares sampling with a whole epoch. No epoch is longer
than the 1,000,000 entries after which a ``HistoryBuffer`` drops its oldest.

glibc's allocator returns large blocks to the system and requests each page of the
next one again, until a block of up to 32 MB was freed; from then on it keeps them. A
training is past that point as soon as it has loaded a checkpoint, and the benchmark
starts there. Before it, native epochs of more than about 150,000 iterations cost up
to ten times as much as reported here.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import loops
from mmengine.structures import BaseDataElement
from switching import in_turns, patch

from valloss_compat._recording.accumulator import EpochAccumulators
from valloss_compat._recording.loss_element import extract_losses

LENGTHS = (1000, 2000, 5000, 10**4, 20000, 50000, 10**5, 200000, 500000, 10**6)
QUICK_LENGTHS = (1000, 10**4, 50000, 10**5)
#: Number of losses -> the longest native epoch that is run whole.
NATIVE_WHOLE = {1: 10**5, 10: 50000}

_POINTS = 5
# Short epochs are timed several in a row: one alone is too short to time.
_MIN_ITERATIONS = 20000


class Cost(NamedTuple):
    """Mean cost per iteration of an epoch, in microseconds.

    Attributes:
        losses (int): Number of losses in the loss element.
        length (int): Number of iterations in the epoch.
        native (float): The least of all rounds.
        here (float): The least of all rounds.
        sampled (bool): Whether the native epoch is sampled past its
            ``NATIVE_WHOLE``.
        native_rounds (list[float]): Each round, where the epoch is whole.
        here_rounds (list[float]): Each round.
    """

    losses: int
    length: int
    native: float
    here: float
    sampled: bool
    native_rounds: List[float]
    here_rounds: List[float]


class Recording(NamedTuple):
    """The results of this module.

    Attributes:
        costs (list[Cost]): By number of losses and length.
        check (dict): Number of losses -> cost of the longest whole native
            epoch as sampling gives it, divided by its cost as measured whole.
    """

    costs: List[Cost]
    check: Dict[int, float]


def measure(lengths: Sequence[int], rounds: int) -> Recording:
    """Measure all costs.

    Args:
        lengths (Sequence[int]): Epoch lengths, ascending, among them each
            ``NATIVE_WHOLE``.
        rounds (int): How often each is measured.
    """
    patch(False)
    _free_a_large_block()
    costs: List[Cost] = []
    check: Dict[int, float] = {}
    for losses in (1, 10):
        of_these, check[losses] = _measure(losses, lengths, rounds)
        costs += of_these
    return Recording(costs, check)


def result_with(losses: int) -> List[BaseDataElement]:
    """What a ``val_step`` returns: a prediction and a loss element.

    Args:
        losses (int): Number of named losses.
    """
    named = {f"loss_{idx}": torch.tensor(0.5) for idx in range(losses)}
    return [
        BaseDataElement(pred=torch.tensor(0.0)),
        BaseDataElement(loss=named),
    ]


def record_natively(result: Any, length: int, histories: Dict[str, Any]) -> None:
    """One epoch, or a part of one, as native mmengine records it.

    Args:
        result: What each ``val_step`` returns.
        length (int): Number of iterations.
        histories (dict): Loss name -> ``HistoryBuffer``, as ``loop.val_loss``.
    """
    update_losses = loops._update_losses
    for _ in range(length):
        _, histories = update_losses(result, histories)


def record_here(result: Any, length: int, accumulators: EpochAccumulators) -> None:
    """One epoch as this package records it.

    Args:
        result: What each ``val_step`` returns.
        length (int): Number of iterations.
        accumulators (EpochAccumulators): As ``loop.val_loss``.
    """
    for batch_idx in range(length):
        _, losses = extract_losses(result)
        if losses is not None:
            accumulators.record(losses, 1, batch_idx)


def histories_of(result: Any, filled: int) -> Dict[str, HistoryBuffer]:
    """Return the histories of an epoch's losses at one of its points.

    Args:
        result: What each ``val_step`` returns.
        filled (int): Number of iterations before that point.
    """
    ones = np.ones(filled)
    return {
        name: HistoryBuffer(log_history=ones, count_history=ones)
        for name in result[-1].loss
    }


def _free_a_large_block() -> None:
    # 32 MB is the most that glibc takes for a new threshold.
    np.ones((32 * 2**20 - 2**16) // 8)


def _measure(
    losses: int, lengths: Sequence[int], rounds: int
) -> Tuple[List[Cost], float]:
    result = result_with(losses)
    limit = NATIVE_WHOLE[losses]
    native: Dict[int, List[float]] = {length: [] for length in lengths}
    here: Dict[int, List[float]] = {length: [] for length in lengths}
    for round_idx in range(rounds):
        for length in in_turns(lengths, round_idx):
            repeats = max(1, _MIN_ITERATIONS // length)
            start = perf_counter()
            for _ in range(repeats):
                record_here(result, length, EpochAccumulators())
            here[length].append((perf_counter() - start) / repeats / length * 1e6)
            if length > limit:
                continue
            start = perf_counter()
            for _ in range(repeats):
                record_natively(result, length, {})
            native[length].append((perf_counter() - start) / repeats / length * 1e6)
    whole = {length: min(known) for length, known in native.items() if known}
    shorter = max(length for length in whole if length < limit)
    sampled = _sampled(result, shorter, whole[shorter], [limit], rounds)
    check = sampled[limit] / whole[limit]
    beyond = [length for length in lengths if length > limit]
    whole.update(_sampled(result, limit, whole[limit], beyond, rounds))
    costs = [
        Cost(
            losses,
            length,
            whole[length],
            min(here[length]),
            length > limit,
            native[length],
            here[length],
        )
        for length in lengths
    ]
    return costs, check


def _sampled(
    result: Any, start: int, cost: float, lengths: Sequence[int], rounds: int
) -> Dict[int, float]:
    """Costs of longer epochs from that of a shorter one.

    Args:
        result: What each ``val_step`` returns.
        start (int): Length of the shorter epoch.
        cost (float): Its mean cost per iteration.
        lengths (Sequence[int]): The lengths of the longer epochs, ascending.
        rounds (int): How often each point is measured.

    Returns:
        dict: Length -> mean cost per iteration.
    """
    total, before = start * cost, start
    costs: Dict[int, float] = {}
    for length in lengths:
        width = (length - before) / _POINTS
        for point in range(_POINTS):
            filled = int(before + (point + 0.5) * width)
            total += width * min(_cost_at(result, filled) for _ in range(rounds))
        costs[length] = total / length
        before = length
    return costs


def _cost_at(result: Any, filled: int) -> float:
    """Cost of an iteration at one point of an epoch."""
    updates = 200 if filled < 10**5 else 20
    histories = histories_of(result, filled)
    # The allocator needs some updates to reach its state of mid-epoch.
    record_natively(result, 10, histories)
    start = perf_counter()
    record_natively(result, updates, histories)
    return (perf_counter() - start) / updates * 1e6
