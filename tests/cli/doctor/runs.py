"""Run ``doctor --json`` in a process and read its document."""

from __future__ import annotations

import json

from cli.processes import as_command


def examine(nursery, folder, *argv, env=None, before=""):
    """Run ``doctor --json`` and return the document."""
    done = as_command(nursery, ["doctor", "--json", *argv], folder, env, before)
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(done.stdout)
    assert document["exit_code"] == done.returncode
    return document


def texts(document, severity):
    """Return the findings of one severity as ``check: text``."""
    findings = document["findings"]
    return [f"{f['check']}: {f['text']}" for f in findings if f["severity"] == severity]
