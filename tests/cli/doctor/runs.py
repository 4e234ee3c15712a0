"""Runs ``doctor --json`` in a process, and reads what it found."""

from __future__ import annotations

import json

from cli.processes import as_command


def examine(nursery, folder, *argv, env=None, before=""):
    """Run ``doctor --json``; its exit code and document."""
    done = as_command(nursery, ["doctor", "--json", *argv], folder, env, before)
    assert done.returncode in (0, 1), done.stderr
    told = json.loads(done.stdout)
    assert told["exit_code"] == done.returncode
    return told


def texts(told, severity):
    """What was found, as ``check: text``."""
    found = told["findings"]
    return [f"{f['check']}: {f['text']}" for f in found if f["severity"] == severity]
