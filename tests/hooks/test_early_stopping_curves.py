"""Every release stops where native mmengine 0.10.7 stops, with the same best."""

from __future__ import annotations

import json

import pytest
from conformance.recordings import differences

import valloss_compat

from .curves import CURVES
from .record import PATH
from .train import train

with open(PATH, encoding="utf-8") as _file:
    RECORDED = json.load(_file)


@pytest.fixture(autouse=True)
def _resumes(monkeypatch):
    """Torch 2.6 reads weights alone by default; checkpoints of mmengine hold more.

    So mmengine before 0.10.7 cannot resume there without this variable
    (https://github.com/pytorch/pytorch/releases/tag/v2.6.0).
    """
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")


def test_every_curve_is_recorded():
    """And no recording is of a curve that is gone."""
    assert set(RECORDED) == set(CURVES)


@pytest.mark.parametrize("name", sorted(CURVES))
def test_the_training_ends_as_on_native_mmengine(tmp_path, name):
    """Epoch, iteration, hooks after the stop, best score and files."""
    assert differences(RECORDED[name], train(CURVES[name], str(tmp_path))) == []


@pytest.mark.parametrize("name", ["rising", "by iteration", "resumed"])
def test_the_same_in_parity_mode(tmp_path, name):
    """The hook is there in both modes."""
    valloss_compat.apply(mode="parity")
    assert differences(RECORDED[name], train(CURVES[name], str(tmp_path))) == []
