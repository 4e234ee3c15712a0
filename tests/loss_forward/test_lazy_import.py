"""The hooks are imported only where a config or a user names them."""

from __future__ import annotations

import sys

import pytest
from support.fresh import Nursery

from valloss_compat.hooks import EarlyStoppingHook


def test_hooks_are_imported_by_name():
    assert "EarlyStoppingHook" in dir(sys.modules["valloss_compat.hooks"])
    assert EarlyStoppingHook.__name__ == "EarlyStoppingHook"
    with pytest.raises(AttributeError, match="no attribute 'NoSuchHook'"):
        sys.modules["valloss_compat.hooks"].NoSuchHook  # noqa: B018


def test_import_of_the_package_imports_nothing_of_the_hook(nursery: Nursery):
    result = nursery.run(
        "import json, sys, valloss_compat\n"
        "print(json.dumps([m for m in sys.modules if 'val_loss' in m or "
        "m.startswith(('valloss_compat._libraries', 'valloss_compat._loss'))]))"
    )
    assert result.json() == []
