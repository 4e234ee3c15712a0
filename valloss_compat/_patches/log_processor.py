"""Wrapper of the log processor: logs show the epoch's own losses, under own tags.

mmengine's ``LogProcessor`` smooths every key that matches ``loss`` over its
window (10 by default), which in a validation are past validations, and strips
``val/`` off the key, so that a validation loss ``loss`` is logged under the tag
of the training loss. For the length of one call the message hub has other scalars.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from valloss_compat._patches.patch import Args, Kwargs, Original
from valloss_compat._recording.recorder import Recorder


def get_log_after_epoch(
    recorder: Recorder, original: Original, args: Args, kwargs: Kwargs
) -> Any:
    """Log losses of a validation or test unsmoothed, and under tags of their own."""
    processor, runner = args[0], args[1] if len(args) > 1 else kwargs["runner"]
    mode = args[3] if len(args) > 3 else kwargs["mode"]
    names = recorder.reported(runner, mode)
    if not names:
        return original(*args, **kwargs)
    components = names - {f"{mode}_loss"}
    if getattr(processor, "log_with_hierarchy", False):
        components = set()  # their tags keep `val/` in any case
    # A loop with several passes puts a prefix or suffix to the names.
    any_name = "|".join(map(re.escape, sorted(names)))
    is_loss = re.compile(f"{mode}/(?:.*[/._])?(?:{any_name})(?:$|[/._])")
    hub = runner.message_hub
    own_scalars, own_cfg = hub.log_scalars, processor.custom_cfg
    scalars = type(own_scalars)()
    for key, buffer in own_scalars.items():
        if is_loss.match(key):
            # A copy shares the history, which custom_cfg may ask for.
            buffer = copy.copy(buffer)
            buffer.mean = lambda window_size=None, own=buffer: own.current()
        if key.startswith(f"{mode}/") and key[len(mode) + 1 :] in components:
            key = f"{mode}/{key}"
        scalars[key] = buffer
    try:
        hub._log_scalars = scalars
        processor.custom_cfg = [
            {**entry, "data_src": f"{mode}/{entry['data_src']}"}
            if entry.get("data_src") in components
            else entry
            for entry in own_cfg
        ]
        return original(*args, **kwargs)
    finally:
        hub._log_scalars, processor.custom_cfg = own_scalars, own_cfg
