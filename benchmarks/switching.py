"""Native mmengine and the patched one, in turns within one process.

A ratio holds on a busy machine only if both of its sides were measured at
about the same time, so each round of a benchmark switches to and fro.
"""

from __future__ import annotations

from typing import List, Sequence, TypeVar

import valloss_compat

Case = TypeVar("Case")


def patch(wanted: bool) -> None:
    """Put the patches on, or take them off.

    Args:
        wanted (bool): Whether mmengine is to be patched.

    Raises:
        RuntimeError: If mmengine is not native, or is not what was wanted:
            the figures would compare it with itself.
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
    """The cases of one round: every other round backwards.

    What a machine does in the long run (warming up, another's job) then weighs
    the same on each case.

    Args:
        cases (Sequence): The cases.
        round_idx (int): Index of the round.

    Returns:
        list: The same cases.
    """
    return list(cases if round_idx % 2 == 0 else reversed(cases))
