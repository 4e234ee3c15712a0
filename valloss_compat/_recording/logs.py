"""Messages of a running training go where mmengine's own messages go."""

from __future__ import annotations

import logging

from mmengine.logging import print_log


def warn_in_log(message: str) -> None:
    """Write one warning to the logger of the current run.

    mmengine's logger is used, not :mod:`warnings`: the message lands in the
    log file of the run, and a user's ``-W error`` cannot end a training.

    Args:
        message (str): The text, without a prefix.
    """
    print_log(f"valloss_compat: {message}", logger="current", level=logging.WARNING)
