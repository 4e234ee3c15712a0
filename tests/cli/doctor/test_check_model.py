"""``doctor CONFIG``: the loss of one batch, by ``ValLossHook`` or the model itself."""

from __future__ import annotations

import pytest
from loss_forward.models import Classifier, Points
from mmengine.evaluator import BaseMetric
from mmengine.registry import DATASETS, METRICS, MODELS, PARAM_SCHEDULERS
from mmengine.structures import BaseDataElement

from valloss_compat._cli.doctor import check_config, check_hooks, check_model
from valloss_compat._cli.doctor.check_hooks import MONITOR

SCOPE = {"default_scope": "mmengine"}


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """Register the model and data of the tests, for one test."""
    for registry, name, value in (
        (MODELS, "Tiny", Classifier),
        (MODELS, "Clock", Clock),
        (DATASETS, "Broken", Broken),
        (MODELS, "Preprocessed", Preprocessed),
        (MODELS, "SoftTeacher", SoftTeacher),
        (DATASETS, "Points", Points),
    ):
        monkeypatch.setitem(registry._module_dict, name, value)


class Clock(Classifier):
    """Its loss depends on how often it was called."""

    calls = 0

    def loss(self, scores, data_samples):
        Clock.calls += 1
        return {"loss": scores.mean() * 0 + Clock.calls}


class Broken(Points):
    """Its file is missing."""

    def __getitem__(self, index):
        raise KeyError("boxes")


class Preprocessed(Classifier):
    """It takes a data preprocessor, as models of the libraries do."""

    def __init__(self, data_preprocessor):
        super().__init__()
        self.data_preprocessor = MODELS.build(data_preprocessor)


SoftTeacher = type("SoftTeacher", (Classifier,), {"__module__": "mmdet.models"})


def config(model="Tiny", hook=None, **loader):
    dataloader = {
        "dataset": {"type": "Points", "length": 4},
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "batch_size": 2,
        "num_workers": 0,
        **loader,
    }
    return {
        **SCOPE,
        "model": {"type": model},
        "val_dataloader": dataloader,
        "custom_hooks": [{"type": "ValLossHook", **(hook or {})}],
    }


def findings(cfg):
    hooks = check_hooks.build(cfg, ())
    found = [*hooks.findings, *check_model.check_model(cfg, hooks, ())[0]]
    return [(f.severity, f.text) for f in found]


def test_loss_that_is_a_function_of_the_batch_is_ok():
    ((severity, text),) = findings(config())
    assert severity == "ok"
    known = "loss_forward.models.Classifier: deterministic; reuses backbone, head"
    assert known in text


def test_loss_that_depends_on_its_calls_is_a_problem():
    ((severity, text),) = findings(config("Clock"))
    assert severity == "problem"
    assert "for the same batch and seed" in text


def test_data_loader_of_the_losses_is_the_one_that_is_checked():
    own = config()["val_dataloader"]
    hook = {"strategy": "dataloader", "dataloader": own}
    cfg = config(hook=hook, dataset={"type": "Missing"})
    ((severity, text),) = findings(cfg)
    assert severity == "ok"
    assert "reuses nothing" in text


def test_first_of_several_data_loaders_is_checked():
    cfg = config("Preprocessed")
    cfg["val_dataloader"] = [cfg["val_dataloader"], {}]
    cfg["data_preprocessor"] = {"type": "BaseDataPreprocessor"}
    assert [severity for severity, _ in findings(cfg)] == ["ok"]


def test_model_that_is_rejected_by_name_is_a_problem():
    ((severity, text),) = findings(config("SoftTeacher"))
    assert severity == "problem"
    assert "batches of several branches" in text


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        (
            config("Unknown"),
            "the model cannot be built here, which would end a training: KeyError",
        ),
        (
            config(dataset={"type": "Nowhere"}),
            "the validation dataset Nowhere cannot be built here",
        ),
        (
            config(dataset={"type": "Broken"}),
            "cannot be run: KeyError: 'boxes'",
        ),
        (config(dataset={"type": "Points", "length": 0}), ""),
    ],
)
def test_what_cannot_be_built_or_run_is_not_checked(cfg, expected):
    """With the hook, and without it where the model has to return the losses."""
    for hooks in (cfg["custom_hooks"], []):
        ((severity, text),) = findings({**cfg, "custom_hooks": hooks})
        assert severity == "not checked"
        assert expected in text


def test_hook_that_cannot_be_built_is_one_problem():
    ((severity, text), *_) = findings(config(hook={"limit_batches": 0}))
    assert severity == "problem"
    assert "custom_hooks[0] (ValLossHook) cannot be built: ValueError: limit_b" in text


class Appends(Classifier):
    """It returns what is set below."""

    respond = None

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode == "loss":
            return super().forward(inputs, data_samples, mode)
        return Appends.respond(BaseDataElement(p=1))


def element(**losses):
    return BaseDataElement(loss=losses)


@pytest.mark.parametrize(
    ("respond", "severity", "expected"),
    [
        (lambda p: [p, element(loss_a=1.0)], "ok", "a batch reports loss_a, val_loss"),
        (lambda p: [p, p], "problem", "BaseDataElement, and has no field `loss`. Fix:"),
        (lambda p: [p, {"loss": 1}], "problem", "is of type dict, and not a loss ele"),
        (lambda p: [element(l=1.0), p], "problem", "is item 0 of the 2 that val_step"),
        (lambda p: [p, element(loss="1")], "problem", "has a value of type str, but"),
        (lambda p: [p, element(l1=1.0)], "problem", "contains 'loss'. Fix: rename one"),
    ],
    ids=["element", "none", "dict", "first", "wrong value", "no total"],
)
def test_own_model_is_tried_on_a_batch(monkeypatch, respond, severity, expected):
    """A model without a loss is a problem if a loss is monitored, else a note."""
    monkeypatch.setitem(MODELS._module_dict, "Appends", Appends)
    monkeypatch.setattr(Appends, "respond", staticmethod(respond))
    stop = {"type": "EarlyStoppingHook", "monitor": "val_loss", "min_delta": 1e-4}
    cfg = {**config("Appends"), "custom_hooks": [stop]}
    found = findings(cfg)
    assert [text for level, text in found if level == severity and expected in text]
    others = {level for level, _ in findings({**cfg, "custom_hooks": []})}
    assert others <= {"ok", "note"} | ({"problem"} if "type str" in expected else set())


def test_model_that_nothing_validates_is_a_note():
    cfg = config()
    del cfg["val_dataloader"]
    cfg["custom_hooks"] = []
    ((severity, text),) = findings(cfg)
    assert (severity, "nothing validates it" in text) == ("note", True)


class Losses(BaseMetric):
    """It reports a loss by itself."""

    def process(self, data_batch, data_samples):
        """Nothing."""

    def compute_metrics(self, results):
        return {"val_loss": 1.0}


@pytest.mark.parametrize(
    ("monitor", "evaluator", "severity", "expected"),
    [
        ("loss_a", None, "ok", "EarlyStoppingHook monitors 'loss_a'"),
        ("loss_b", None, "problem", "but the model reports 'loss_a', 'val_loss'"),
        ("loss_b", {"type": "Losses"}, "note", "has to have a loss of that name"),
        ("val/acc", {"type": "A", "prefix": "val"}, "note", "'val/acc', which is no"),
    ],
)
def test_monitored_names_are_compared_with_what_a_batch_reports(
    monkeypatch, monitor, evaluator, severity, expected
):
    """Unless a metric of the user may report more."""
    monkeypatch.setitem(MODELS._module_dict, "Appends", Appends)
    monkeypatch.setitem(METRICS._module_dict, "Losses", Losses)
    monkeypatch.setattr(Appends, "respond", lambda *p: [*p, element(loss_a=1.0)])
    rule = {"rule": "less", "min_delta": 1e-4}
    cfg = {**config("Appends"), "val_evaluator": evaluator}
    cfg["custom_hooks"] = [{"type": "EarlyStoppingHook", "monitor": monitor, **rule}]
    found = check_config.check_config(cfg, ())
    texts = [f.text for f in found if (f.severity, f.check) == (severity, MONITOR)]
    assert [text for text in texts if expected in text], found


def test_metric_of_the_user_may_report_the_loss(monkeypatch):
    """Then a model without a loss element is no problem, and not checked."""
    monkeypatch.setitem(MODELS._module_dict, "Appends", Appends)
    monkeypatch.setitem(METRICS._module_dict, "Losses", Losses)
    monkeypatch.setattr(Appends, "respond", lambda *p: [*p])
    stop = {"type": "EarlyStoppingHook", "monitor": "val_loss"}
    cfg = {**config("Appends"), "custom_hooks": [stop]}
    for evaluator in (
        [{"type": "Losses"}],
        {"type": "E", "metrics": {"type": "Losses"}},
    ):
        cfg["val_evaluator"] = evaluator
        found = check_config.check_config(cfg, ())
        (text,) = [f.text for f in found if f.severity == "not checked"]
        assert text.endswith(f"{__name__}.Losses may add val_loss")


@pytest.mark.skipif(
    "ReduceOnPlateauLR" not in PARAM_SCHEDULERS.module_dict,
    reason="schedulers that get metrics came with mmengine 0.5.0",
)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"monitor": "val_loss"}, None),
        (
            {"monitor": "val/val_loss"},
            "ReduceOnPlateauLR monitors 'val/val_loss'",
        ),
        ({"rule": "min"}, "(ReduceOnPlateauLR) cannot be built: ValueError"),
        ({"type": "ReduceOnPlateuLR"}, "Did you mean 'ReduceOnPlateauLR'?"),
    ],
)
def test_schedulers_are_built(arguments, expected):
    """One, a list, or one of these for each optimizer."""
    one = {"type": "ReduceOnPlateauLR", **arguments}
    plain = {"type": "LinearLR"}
    for entry in (one, [plain, one], {"a": [one], "b": plain}):
        cfg = {**config(), "param_scheduler": entry}
        found = check_config.check_config(cfg, ())
        checks = (check_hooks.CHECK, MONITOR)
        found = [f for f in found if f.severity == "problem" and f.check in checks]
        assert [str(expected) in f.text for f in found] == [True] * bool(expected)
