"""How much memory recording takes, by the length of the epoch.

The figure is the peak of ``tracemalloc`` while the losses of an epoch are recorded;
it includes numpy, which native mmengine's histories use. This package records whole
epochs. The longest native epoch starts with histories that are filled except for the
last iterations.
"""

from __future__ import annotations

import tracemalloc
from typing import Callable, Dict, NamedTuple, Sequence

from recording import histories_of, record_here, record_natively, result_with
from switching import patch

from valloss_compat._recording.accumulator import EpochAccumulators

LENGTHS = (1000, 10**5, 10**6)
QUICK_LENGTHS = (1000, 20000)
_NATIVE_WHOLE = 20000
_LAST = 10


class Memory(NamedTuple):
    """Epoch length -> peak in bytes, with one loss.

    Attributes:
        native (dict): Of native mmengine.
        here (dict): Of this package.
    """

    native: Dict[int, int]
    here: Dict[int, int]


def measure(lengths: Sequence[int]) -> Memory:
    """Measure all epochs.

    Args:
        lengths (Sequence[int]): Their lengths.
    """
    patch(False)
    result = result_with(1)

    def native(length: int) -> None:
        done = 0 if length <= _NATIVE_WHOLE else length - _LAST
        histories = histories_of(result, done) if done else {}
        record_natively(result, length - done, histories)

    def here(length: int) -> None:
        record_here(result, length, EpochAccumulators())

    return Memory(_peaks(native, lengths), _peaks(here, lengths))


def _peaks(record: Callable[[int], None], lengths: Sequence[int]) -> Dict[int, int]:
    record(lengths[0])  # some objects are allocated in the first epoch only
    peaks = {}
    for length in lengths:
        tracemalloc.start()
        record(length)
        peaks[length] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peaks
