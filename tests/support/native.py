"""Whether the installed mmengine has the convention itself (0.10.5 and later)."""

from __future__ import annotations

import inspect

from mmengine.runner import ValLoop

#: By the code: the patches add the helpers to releases that lack them.
NATIVE = "_parse_losses" in inspect.unwrap(ValLoop.run).__code__.co_names
