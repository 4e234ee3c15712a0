"""A validation that is rejected, and why."""

from __future__ import annotations

import pytest

from loss_forward.models import hook, make_runner
from valloss_compat.errors import UnsupportedError


def rejected(work_dir, model, match, **options):
    """Validate, and return the rejection."""
    with pytest.raises(UnsupportedError, match=match) as caught:
        make_runner(work_dir, hook(**options), model=model).val()
    return caught.value.rejection
