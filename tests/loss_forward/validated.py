"""Validations whose numbers are compared, of models that must not change."""

from __future__ import annotations

import pytest
import torch

from loss_forward.models import hook, make_runner

STRATEGIES = pytest.mark.parametrize("strategy", ["auto", "second_forward"])


def close(metrics, known):
    """Compare the losses among metrics."""
    assert {name: metrics[name] for name in known} == pytest.approx(known, rel=1e-6)


def validated(work_dir, model, **options):
    """Return the metrics of a validation; the state of the model must stay."""
    runner = make_runner(work_dir, hook(**options), model=model)
    model.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    metrics = runner.val()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    return metrics
