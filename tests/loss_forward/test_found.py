"""The hooks are imported only where a config or a user names them."""

from __future__ import annotations

import sys

import pytest
from support.fresh import Nursery

from valloss_compat.hooks import EarlyStoppingHook


def test_the_package_hands_it_out_late():
    """Who has no such hook in the config does not import it."""
    assert "EarlyStoppingHook" in dir(sys.modules["valloss_compat.hooks"])
    assert EarlyStoppingHook.__name__ == "EarlyStoppingHook"
    with pytest.raises(AttributeError, match="no attribute 'NoSuchHook'"):
        sys.modules["valloss_compat.hooks"].NoSuchHook  # noqa: B018


def test_the_import_leaves_it_alone(nursery: Nursery):
    """Importing the package imports nothing of the hook."""
    told = nursery.run(
        "import json, sys, valloss_compat\n"
        "print(json.dumps([m for m in sys.modules if 'val_loss' in m or "
        "m.startswith('valloss_compat._libraries')]))"
    )
    assert told.json() == []
