"""A validation that is refused, and what is said of it."""

from __future__ import annotations

import pytest

from loss_forward.models import hook, make_runner
from valloss_compat._libraries import UnsupportedError


def refused(work_dir, model, match, **options):
    with pytest.raises(UnsupportedError, match=match) as caught:
        make_runner(work_dir, hook(**options), model=model).val()
    return caught.value.rejection
