"""The options, set by configure(), apply() and the environment variable."""

from __future__ import annotations

import json
import re

import pytest
import torch
from support.native import NATIVE
from support.tiny import element, make_runner, sample

import valloss_compat
from valloss_compat import Options, _api, configure
from valloss_compat._patches import patch_set
from valloss_compat._patches.mmengine_api import Inspection


def test_defaults_are_those_of_the_contract():
    """Without arguments configure() only returns the options."""
    assert configure() == Options("default", "batch", True, False)


def test_options_are_immutable():
    with pytest.raises(AttributeError):
        configure().weighting = "sample"


def test_options_that_are_left_out_keep_their_values():
    assert configure(weighting="sample") == Options(weighting="sample")
    assert configure(strict=True) == Options(weighting="sample", strict=True)
    configure(weighting="batch")
    assert configure(strict=False, sync_dist=False) == Options(sync_dist=False)


def test_change_of_mode_replaces_active_patches_at_once():
    """If no patches are active, the next apply() has the mode."""
    configure(mode="parity")
    assert valloss_compat.status().mode == "parity"
    assert valloss_compat.status().plan == ("native" if NATIVE else "parity")
    valloss_compat.revert()
    configure(mode="default")
    assert valloss_compat.status().mode == "off"
    assert valloss_compat.apply().mode == "default"


def test_apply_without_arguments_keeps_the_mode():
    assert valloss_compat.apply(mode="parity").mode == "parity"
    assert valloss_compat.apply().mode == "parity"
    valloss_compat.revert()
    assert valloss_compat.apply().mode == "parity"


def test_weighting_changes_with_the_next_validation(tmp_path):
    """An epoch keeps the options it started with."""

    def respond(index, inputs):
        configure(weighting="sample")
        return [sample()] * len(inputs) + [element(loss=torch.stack(inputs))]

    runner = make_runner(tmp_path, respond, length=3, batch_size=2)
    assert runner.val()["val_loss"] == (0.5 + 2.0) / 2
    assert runner.val()["val_loss"] == 1.0


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("", Options()),
        ("default", Options()),
        (" Parity ", Options(mode="parity")),
        ("weighting=sample", Options(weighting="sample")),
        (
            "default, weighting=sample,sync_dist=false,strict=TRUE",
            Options(weighting="sample", sync_dist=False, strict=True),
        ),
        ("mode=parity,parity", Options(mode="parity")),
        ("off", Options(mode="off")),
        ("off,weighting=sample", Options(mode="off", weighting="sample")),
    ],
)
def test_environment_variable_sets_options(monkeypatch, variable, expected):
    """A mode, options, or both, separated by commas."""
    valloss_compat.revert()
    monkeypatch.setenv("VALLOSS_COMPAT", variable)
    assert configure() == expected


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        ("weighting=size", "weighting is 'size', but one of batch, sample is expected"),
        ("strict=1", "strict is '1', but one of true, false is expected"),
        ("parity,default", "mode is both 'parity' and 'default'"),
        ("default,parity", "mode is both 'default' and 'parity'"),
        ("off,", "mode is '', but one of off, default, parity is expected"),
    ],
)
def test_invalid_environment_variable_is_rejected(monkeypatch, variable, reason):
    """The message shows the variable, the error and a fix."""
    monkeypatch.setenv("VALLOSS_COMPAT", variable)
    with pytest.raises(ValueError, match="Fix: correct or unset it") as error:
        configure()
    assert str(error.value) == (
        f"the environment variable VALLOSS_COMPAT is {variable!r}: {reason}. Fix: "
        "correct or unset it"
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"weighting": "size"}, "weighting is 'size', but one of batch, sample is exp"),
        ({"weighting": 1}, "weighting is 1, but one of batch, sample is expected"),
        ({"sync_dist": 1}, "sync_dist is 1, but one of True, False is expected"),
        ({"strict": "no"}, "strict is 'no', but one of True, False is expected"),
        ({"mode": "off"}, "mode is 'off', but one of default, parity is expected (to"),
        (
            {"mode": "parity", "weighting": "sample"},
            "mode='parity' and weighting='sample' contradict each other",
        ),
    ],
)
def test_invalid_option_is_rejected_and_changes_nothing(options, reason):
    """The message shows the given value and the allowed ones."""
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}"):
        configure(**options)
    assert configure() == Options()
    assert valloss_compat.status().mode == "default"


def test_environment_and_configure_must_agree(monkeypatch):
    """In any order. Equal values are no conflict."""
    monkeypatch.setenv("VALLOSS_COMPAT", "weighting=sample")
    assert configure(weighting="sample").weighting == "sample"
    with pytest.raises(ValueError, match=r"^weighting is 'batch', but"):
        configure(weighting="batch")
    monkeypatch.setenv("VALLOSS_COMPAT", "weighting=batch")
    with pytest.raises(ValueError, match=r"^weighting is 'sample', but"):
        configure(strict=True)


def test_status_shows_the_options():
    """In its table and for JSON."""
    configure(weighting="sample")
    status = valloss_compat.status()
    assert "weighting=sample, sync_dist=True, strict=False" in repr(status)
    known = json.loads(json.dumps(status.as_dict()))
    assert known["options"] == configure().as_dict()


def test_unmodified_script_takes_options_from_the_environment(nursery):
    """In a new process that only imports the package."""
    script = """
import tempfile, torch, valloss_compat
from support.tiny import element, make_runner, sample
respond = lambda index, inputs: [sample(), element(loss=torch.stack(inputs))]
runner = make_runner(tempfile.mkdtemp(), respond, length=3, batch_size=2)
print(runner.val()['val_loss'])
"""
    for variable, expected in (("", 1.25), ("weighting=sample", 1.0)):
        process = nursery.run(script, env={"VALLOSS_COMPAT": variable})
        assert process.json() == expected


def test_failed_apply_or_configure_keeps_the_options(monkeypatch):
    """The patches stay as they were, too."""
    monkeypatch.setattr(_api, "_patch_sets", {})
    monkeypatch.setattr(
        patch_set, "inspect_mmengine", lambda *_: Inspection(True, "odd")
    )
    before = configure()
    with pytest.raises(valloss_compat.UnknownMMEngineError):
        valloss_compat.apply(mode="parity", strict=True)
    assert configure() == before
    with pytest.raises(valloss_compat.UnknownMMEngineError):
        configure(mode="parity", strict=True)
    assert configure() == before


def test_off_in_the_environment_reverts_at_the_next_call(monkeypatch):
    """Options and patches never contradict each other."""
    monkeypatch.setenv("VALLOSS_COMPAT", "off")
    assert configure().mode == "off"
    status = valloss_compat.status()
    assert (status.mode, status.reason) == (
        "off",
        "VALLOSS_COMPAT=off in the environment",
    )
    assert not status.active


def test_status_after_revert_gives_the_reason():
    assert valloss_compat.revert().reason == "reverted; apply() patches again"
