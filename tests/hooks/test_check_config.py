"""``check_config``: whether a config gets a validation loss, and from which data."""

from __future__ import annotations

import pytest
from loss_forward import views
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, TRANSFORMS

from valloss_compat._cli.doctor import check_hooks, check_model
from valloss_compat.hooks import check_config

NAMES = ("LoadImage", "Resize", "LoadAnnotations", "GenerateTarget", "PackInputs")


class Flip:
    """Shows another picture each time."""

    def __call__(self, results):
        results["img"] = results["img"] + views.np.random.randint(5)
        return results


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """Register a library as those of OpenMMLab are, for one test."""
    for name in NAMES:
        monkeypatch.setitem(TRANSFORMS._module_dict, name, getattr(views, name))
    monkeypatch.setitem(TRANSFORMS._module_dict, "Flip", Flip)
    monkeypatch.setitem(DATASETS._module_dict, "Boxes", views.Boxes)
    monkeypatch.setitem(MODELS._module_dict, "Detector", views.Detector)


def dataloader(*steps):
    return {
        "dataset": {
            "type": "Boxes",
            "ann_file": "",
            "test_mode": True,
            "pipeline": [{"type": step} for step in steps],
        },
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "batch_size": 2,
        "num_workers": 0,
    }


def config(*steps, hook=None, model="Detector"):
    """A config whose training has targets that its validation lacks."""
    return Config(
        {
            "default_scope": "mmengine",
            "model": {"type": model},
            "train_dataloader": dataloader(
                "LoadImage", "LoadAnnotations", "Resize", "GenerateTarget", "PackInputs"
            ),
            "val_dataloader": dataloader(*steps),
            "default_hooks": {"val_loss": {"type": "ValLossHook", **(hook or {})}},
        }
    )


def findings(cfg):
    found, _ = check_model.check_model(cfg, check_hooks.build(cfg, ()), ())
    return [(f.severity, f.text) for f in found]


def test_what_the_loss_gets_beside_the_validation_is_reported():
    cfg = config("LoadImage", "Resize", "PackInputs")
    found = check_config(cfg)
    assert found.verdict == "accepted"
    repairs = ["LoadAnnotations of the training", "GenerateTarget of the training"]
    assert found.repairs == repairs
    assert "mode 'loss' of loss_forward.views.Detector: deterministic" in found.text
    note, ok = findings(cfg)
    assert note == ("note", f"the loss gets {'; '.join(repairs)}")
    assert ok[0] == "ok"
    assert ok[1].count("Detector") == 1
    assert ok[1].endswith(found.text.partition("mode 'loss' of ")[2])


def test_a_config_without_the_hook_is_checked_with_its_defaults():
    cfg = config("LoadImage", "LoadAnnotations", "Resize", "GenerateTarget")
    cfg.val_dataloader = dataloader(*NAMES)
    cfg.pop("default_hooks")
    found = check_config(cfg)
    assert found.verdict == "accepted"
    assert found.repairs == ["LoadAnnotations right behind the image"]


def test_data_that_differ_each_time_are_rejected():
    found = check_config(config("LoadImage", "Flip", "LoadAnnotations", "PackInputs"))
    assert found.verdict == "rejected"
    assert "Flip of the validation pipeline: random numbers change" in found.text


def test_a_pipeline_of_the_hook_is_respected():
    steps = [{"type": name} for name in ("LoadImage", "LoadAnnotations")]
    hook = {"pipeline": [*steps, {"type": "Resize"}, {"type": "PackInputs"}]}
    found = check_config(config("LoadImage", "Resize", "PackInputs", hook=hook))
    assert found.verdict == "accepted"
    assert found.repairs == ["the transforms of pipeline=[...]"]


def test_a_data_loader_of_the_hook_is_respected():
    shuffled = {**dataloader(*NAMES), "sampler": {"type": "DefaultSampler"}}
    hook = {"strategy": "dataloader", "dataloader": shuffled}
    found = check_config(config("LoadImage", hook=hook))
    assert found.verdict == "rejected"
    assert found.text.startswith("the sampler of the loss data loader")
    hook["dataloader"] = dataloader(*NAMES)
    assert check_config(config("LoadImage", hook=hook)).verdict == "accepted"


def test_a_strategy_of_the_hook_is_respected():
    found = check_config(config(*NAMES, hook={"strategy": "second_forward"}))
    assert found.verdict == "accepted"
    assert found.text.endswith("reuses nothing of the predictions")


def test_a_model_that_is_not_there_is_not_checked():
    found = check_config(config(*NAMES, model="Missing"))
    assert found.verdict == "not checked"
    assert "the model cannot be built here, which would end a training: KeyError" in (
        found.text
    )


def test_a_transform_that_is_not_registered_is_named_without_a_link():
    """The error of mmengine ends with the address of a page on its registries."""
    found = check_config(config("LoadImage", "Missing"))
    assert found.verdict == "not checked"
    assert "Missing is not in the " in found.text
    assert "it was registered as expected." in found.text
    assert "http" not in found.text
