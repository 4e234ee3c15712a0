"""Switches between native and patched mmengine within one process.

On a busy machine a ratio is right only if both of its sides were measured at about
the same time, so each round of a benchmark switches back and forth.
"""

from __future__ import annotations

from typing import List, Sequence, TypeVar

import valloss_compat

Case = TypeVar("Case")


def patch(wanted: bool) -> None:
    """Apply or revert the patches.

    Args:
        wanted (bool): Whether to patch mmengine.

    Raises:
        RuntimeError: If mmengine is not native or the patches did not change: the
            figures would compare mmengine with itself.
    """
    status = valloss_compat.apply() if wanted else valloss_compat.revert()
    if wanted:
        as_wanted = status.plan == "correct"
    else:
        as_wanted = all(known.state == "inactive" for known in status.patches)
    if not as_wanted:
        raise RuntimeError(
            "the benchmark compares native mmengine 0.10.5 to 0.10.7 with the same "
            f"patched (and VALLOSS_COMPAT unset), but here is\n{status!r}"
        )


def in_turns(cases: Sequence[Case], round_idx: int) -> List[Case]:
    """Return the cases of one round, reversed in every other round.

    Slow changes of the machine (warming up, another process) then weigh the same on
    each case.

    Args:
        cases (Sequence): The cases.
        round_idx (int): Index of the round.

    Returns:
        list: The same cases.
    """
    return list(cases if round_idx % 2 == 0 else reversed(cases))
