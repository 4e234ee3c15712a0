"""Whose loss is reported: the hook's, the model's own, or the first hook's of two."""

from __future__ import annotations

import pytest
import torch
from mmengine.structures import BaseDataElement

from loss_forward.models import Classifier, Points, expected, hook, loader, make_runner
from valloss_compat.hooks import EarlyStoppingHook

KNOWN = expected(Classifier())["val_loss"]


@pytest.fixture
def own_element(monkeypatch):
    """The model appends a loss element of its own, with a loss of the name given."""

    def appends(name):
        def predict(self, scores, data_samples):
            for sample, score in zip(data_samples, scores):
                sample.pred = score
            return [*data_samples, BaseDataElement(loss={name: torch.ones(())})]

        monkeypatch.setattr(Classifier, "predict", predict)

    return appends


@pytest.mark.parametrize("hooks", [1, 2])
def test_a_model_that_appends_its_own_is_left_to_it(
    tmp_path, own_element, capsys, hooks
):
    """Said once by each hook (a newer mmengine logs one); its loss is reported."""
    own_element("loss_own")
    runner = make_runner(tmp_path, *(hook() for _ in range(hooks)), log_level="WARNING")
    assert runner.val()["val_loss"] == 1.0
    assert set(runner.val_loop.run()) == {"mean/score", "loss_own", "val_loss"}
    said = capsys.readouterr().out
    assert said.count("appends its loss element itself") in {1, hooks}
    assert "more than one ValLossHook" not in said


@pytest.mark.filterwarnings("ignore:Skip early stopping process:UserWarning")
@pytest.mark.filterwarnings("ignore:no name of:valloss_compat.VallossCompatWarning")
def test_who_misses_a_loss_is_not_told_to_add_the_hook_that_is_there(
    tmp_path, own_element, capsys
):
    """No name in the model's own element contains 'loss'."""
    own_element("own")
    stopping = EarlyStoppingHook(monitor="val_loss")
    make_runner(tmp_path, hook(), stopping, log_level="WARNING").train()
    said = capsys.readouterr().out
    assert "model or ValLossHook appended contains 'loss'" in " ".join(said.split())
    assert "add custom_hooks" not in said


def test_of_two_hooks_the_first_reports(tmp_path, capsys):
    """As of a base config and of one on top of it; the model appends nothing."""
    own = {"strategy": "dataloader", "dataloader": loader(length=6)}
    runner = make_runner(tmp_path, hook(), hook(**own), log_level="WARNING")
    assert runner.val()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    assert runner.val_loop.run()["val_loss"] == pytest.approx(KNOWN, rel=1e-6)
    said = capsys.readouterr().out
    assert said.count("there is more than one ValLossHook in this training") == 1
    assert "appends its loss element itself" not in said
    runner = make_runner(tmp_path, hook(**own), hook())
    whole = expected(Classifier(), Points(6))["val_loss"]
    assert runner.val()["val_loss"] == pytest.approx(whole, rel=1e-6)
