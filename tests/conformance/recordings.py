"""The recordings in ``recorded/``: read, write and compare."""

from __future__ import annotations

import json
import math
import os.path as osp
from typing import Any, Dict

FOLDER = osp.join(osp.dirname(__file__), "recorded")
NATIVE = ("mmengine-0.10.5", "mmengine-0.10.6", "mmengine-0.10.7")
UNPATCHED = "unpatched-0.10.4"

Recording = Dict[str, Any]


def path_of(name: str) -> str:
    """Return the file of a recording."""
    return osp.join(FOLDER, f"{name}.json")


def load(name: str) -> Recording:
    """Read a recording: ``meta``, and ``cases`` by name."""
    with open(path_of(name), encoding="utf-8") as file:
        recording: Recording = json.load(file)
    return recording


def dumps(recording: Recording) -> str:
    """Write a recording so that each call is one line of a diff."""
    cases = [
        f"  {json.dumps(name)}: {{\n{_dump_trace(trace)}\n  }}"
        for name, trace in sorted(recording["cases"].items())
    ]
    meta = json.dumps(recording["meta"], sort_keys=True)
    return "{{\n {}: {{\n{}\n }},\n {}: {}\n}}\n".format(
        '"cases"', ",\n".join(cases), '"meta"', meta
    )


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """Compare two traces or parts of them.

    Args:
        expected: JSON, as recorded.
        actual: The same from a run.
        path (str): Their place in the trace, for the messages.

    Returns:
        list[str]: The differences. Numbers may differ by 1e-9.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        if set(expected) == set(actual):
            return _in_parts(expected, actual, path, list(expected))
    elif isinstance(expected, (list, tuple)) and isinstance(actual, (list, tuple)):
        if len(expected) == len(actual):
            return _in_parts(expected, actual, path, range(len(expected)))
    elif _is_number(expected) and _is_number(actual):
        if math.isclose(expected, actual, rel_tol=1e-9, abs_tol=1e-9):
            return []
    elif expected == actual:
        return []
    return [f"{path}: expected {expected!r}, got {actual!r}"]


def _in_parts(expected: Any, actual: Any, path: str, keys: Any) -> list[str]:
    found: list[str] = []
    for key in keys:
        found += differences(expected[key], actual[key], f"{path}/{key}")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _dump_trace(trace: dict[str, Any]) -> str:
    lines = []
    for key in sorted(trace):
        value = trace[key]
        if key == "calls" and value:
            calls = ",\n".join(f"    {json.dumps(call)}" for call in value)
            lines.append(f'   "calls": [\n{calls}\n   ]')
        else:
            lines.append(f"   {json.dumps(key)}: {json.dumps(value, sort_keys=True)}")
    return ",\n".join(lines)
