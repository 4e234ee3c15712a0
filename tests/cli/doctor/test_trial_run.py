"""``doctor``: the finding on each result of a trial training."""

from __future__ import annotations

import pytest

from valloss_compat._cli.doctor import trial_run

#: The expected result.
RESULT = {
    "metrics": [{"val_loss": 2.5}, {"val_loss": 3.5}],
    "samples": [5, 5],
    "epochs": 2,
    "best": ["best_val_loss_epoch_1.pth"],
}


def finding_on(monkeypatch, **changed):
    """Return the finding on a changed result."""
    result = trial_run.TrialResult()
    vars(result).update(RESULT, **changed)
    monkeypatch.setattr(trial_run, "run_trial", lambda *args: result)
    (finding,) = trial_run.check_trial()
    return finding


def test_expected_result_is_ok(monkeypatch):
    """With its numbers and the hooks that used them."""
    assert finding_on(monkeypatch) == (
        "validation",
        "ok",
        "a tiny training reported val_loss = 2.5 and 3.5, as expected, "
        "and EarlyStoppingHook and CheckpointHook used it",
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"metrics": [{"b": 1.0, "a": 2.0}]},
            "there is no val_loss after epoch 1, but 2.5 was expected, and the metrics "
            "are 'a', 'b'; there is no val_loss after epoch 2, but 3.5 was expected, "
            "and the metrics are none",
        ),
        (
            {"metrics": [{"val_loss": 2.5}, {"val_loss": 3.501}]},
            "val_loss is 3.501 after epoch 2, but 3.5 was expected",
        ),
        (
            {"metric_elements": 1},
            "1 loss elements reached the metric, but none was expected",
        ),
        (
            {"samples": [5, 4]},
            "the metric got [5, 4] predictions in the epochs, but 5 in each were "
            "expected",
        ),
        (
            {"epochs": 1},
            "EarlyStoppingHook ended the training after epoch 1, but 2 was expected",
        ),
        (
            {"best": ["best_val_loss_epoch_3.pth"]},
            "CheckpointHook kept ['best_val_loss_epoch_3.pth'], but one of epoch 1 was "
            "expected",
        ),
        (
            {"best": ["best_accuracy_epoch_1.pth"]},
            "CheckpointHook kept ['best_accuracy_epoch_1.pth'], but one of epoch 1 was "
            "expected",
        ),
    ],
    ids=["no loss", "number", "metric", "samples", "stopping", "epoch", "name"],
)
def test_difference_is_a_problem(monkeypatch, changed, expected):
    """The message names the result and the expected one."""
    finding = finding_on(monkeypatch, **changed)
    assert finding.severity == "problem"
    assert finding.text.startswith(f"a tiny training: {expected}. Other code ")


def raised(error, context=None):
    """Return an exception with a traceback, raised while another was handled."""
    error.__context__ = context
    try:
        raise error
    except type(error) as caught:
        return caught


YAPF = TypeError("FormatCode() got an unexpected keyword argument 'verify'")


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (raised(YAPF), "pip install 'yapf<=0.40.1'"),
        # As mmengine 0.8.0 to 0.8.4 do.
        (raised(SyntaxError("Failed"), context=YAPF), "pip install 'yapf<=0.40.1'"),
        (
            raised(KeyError("odd")),
            "make the same training work without this package",
        ),
    ],
)
def test_failure_of_mmengine_itself_is_not_blamed_on_patches(monkeypatch, error, fix):
    """All patches are active: no code has replaced one. A known remedy is named."""
    finding = finding_on(monkeypatch, error=error, metrics=[], best=[])
    assert finding.severity == "problem"
    assert f"it ended with {type(error).__name__}" in finding.text
    assert "mmengine itself fails, as all patches are active" in finding.text
    assert finding.text.endswith(f"Fix: {fix}")


def test_error_after_a_wrong_validation_is_blamed_on_replaced_methods(monkeypatch):
    """Such as the KeyError of CheckpointHook for a missing val_loss."""
    error = raised(KeyError("val_loss"))
    finding = finding_on(monkeypatch, error=error, metrics=[{"a": 1.0}], best=[])
    assert "Other code replaces or overrides a method" in finding.text
