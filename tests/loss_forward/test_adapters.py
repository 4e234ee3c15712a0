"""What the tables say, of names alone: no library is needed."""

from __future__ import annotations

import types

import pytest
import torch
from torch import nn

from loss_forward.models import Classifier, Head, Known, Points, loader
from valloss_compat import _libraries
from valloss_compat._libraries import Adapter, UnsupportedError, components, judge, look
from valloss_compat._libraries.mmpretrain import MMPretrain

RESNET = {
    "type": "ImageClassifier",
    "backbone": {"type": "MyBackbone"},
    "neck": {"type": "GlobalAveragePooling"},
    "head": {"type": "LinearClsHead", "loss": {"type": "CrossEntropyLoss"}},
}


def config(**model):
    return {
        "model": {**RESNET, **model},
        "default_scope": "mmpretrain",
        "val_dataloader": {"dataset": {"pipeline": [{"type": "PackInputs"}]}},
    }


def head(**changes):
    return config(head={"type": "LinearClsHead", **changes})


def test_a_known_classifier_is_not_refused():
    """Whatever its backbone is."""
    assert look(config()) == ("ImageClassifier", [], False)
    assert look({**config(), "default_scope": None}).refusals
    scoped = {key: value for key, value in config().items() if key != "default_scope"}
    scoped["model"]["_scope_"] = "mmpretrain"
    assert not look(scoped).refusals


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (head(loss={"type": "SeesawLoss"}), "SeesawLoss (head.loss)"),
        (head(loss={"type": "mmdet.GHMC"}), "GHMC (head.loss)"),
        (config(head={"type": "LeViTClsHead"}), "LeViTClsHead (head)"),
        (
            config(head={"type": "EfficientFormerClsHead"}),
            "EfficientFormerClsHead (head)",
        ),
        (config(head={"type": "MultiTaskHead"}), "MultiTaskHead (head)"),
        (config(type="MoCo"), "MoCo"),
        (config(type="Flamingo"), "Flamingo"),
        (config(type="mmagic.Pix2Pix"), "Pix2Pix"),
    ],
)
def test_what_is_refused_of_a_config(changed, part):
    """By the name of the part and its place."""
    (refusal,) = look(changed).refusals
    assert refusal.component == part
    assert str(refusal).startswith(f"{part}: ")
    assert "Way out: " in str(refusal)


def test_what_a_config_trusts_is_let_in():
    """By the option of the hook in it, or by the caller's."""
    odd = head(loss={"type": "MyLoss"})
    assert look(odd).refusals
    assert not look(odd, ["my.losses.MyLoss"]).refusals
    hook = {"type": "ValLossHook", "trust": ["my.losses.MyLoss"]}
    assert not look({**odd, "custom_hooks": [{"type": "EMAHook"}, hook]}).refusals
    unknown = config(type="other.Model")
    assert look(unknown).refusals
    assert not look(unknown, ["other.models.Model"]).refusals


def test_distilled_heads_without_distillation_are_known():
    """Then their loss is that of any classifier."""
    for kind in ("LeViTClsHead", "EfficientFormerClsHead"):
        assert not look(config(head={"type": kind, "distillation": False})).refusals


def test_the_pipeline_is_judged_unless_the_losses_have_their_own(monkeypatch):
    """``needs_loader`` says that the dataloader lifts what is refused."""
    asked = []

    def refuse(self, model, pipeline):
        asked.append([part.kind for part in pipeline])
        return _libraries.Rejection("Pack", "no", "yes")

    monkeypatch.setattr(MMPretrain, "refuse_pipeline", refuse)
    seen = look(config())
    assert [str(one) for one in seen.refusals] == ["Pack: no. Way out: yes"]
    assert seen.needs_loader
    assert asked == [["PackInputs"]]
    hook = {"type": "ValLossHook", "strategy": "dataloader"}
    assert not look({**config(), "custom_hooks": [hook]}).refusals


def test_the_loader_of_the_losses_is_judged_after_the_model():
    """Its order and its transforms; of a model that nobody knows nothing more."""
    flip = {"type": "RandomFlip", "prob": 0.5}
    losses = {"dataset": {"pipeline": [flip]}, "sampler": {"type": "InfiniteSampler"}}
    hook = {"type": "ValLossHook", "strategy": "dataloader", "dataloader": losses}
    known = {**config(type="MoCo"), "custom_hooks": [hook]}
    seen = look(known)
    assert [refusal.component for refusal in seen.refusals] == [
        "MoCo",
        "the sampler of the loss dataloader (InfiniteSampler)",
        "RandomFlip in the pipeline of the loss dataloader",
    ]
    assert not seen.needs_loader
    assert len(look({**known, "model": {"type": "other.Model"}}).refusals) == 1


def test_pipelines_are_found_in_wrapped_data_sets():
    """In configs and objects, and within transforms."""
    flip = {"type": "mmcv.RandomFlip", "prob": 0.5}
    choice = {"type": "RandomChoice", "transforms": [[flip], [{"type": "Pad"}]]}
    data = {"dataset": {"datasets": [{"pipeline": [choice]}, {"pipeline": [flip]}]}}
    first, second = components.pipelines_of(data, "mmdet")
    assert [part.names for part in first] == [
        ("mmdet.RandomChoice",),
        ("mmcv.RandomFlip",),
        ("mmdet.Pad",),
    ]
    assert [first.dataset, second.dataset] == data["dataset"]["datasets"]
    assert second[0].get("prob") == 0.5
    assert second[0].get("direction", "none") == "none"

    class Compose:
        transforms = (len, nn.Identity())

    built = types.SimpleNamespace(dataset=types.SimpleNamespace(pipeline=Compose()))
    ((function, module),) = components.pipelines_of(built)
    assert function.kind == "len"
    assert module.isa("torch.Module")
    assert components.pipelines_of(Points()) == []
    assert components.pipelines_of(loader().dataset) == []


def test_parts_of_objects_and_configs_are_seen_alike():
    """A path, a name, settings; the bricks of torch are no parts."""
    built = components.of_model(Classifier())
    assert [part.path for part in built.walk()] == ["", "backbone", "head"]
    assert built.isa("loss_forward.Classifier")
    assert built.isa("mmengine.BaseModel")
    assert str(built.parts[-1]) == "Head (head)"
    assert built.get("backbone") is built.source.backbone
    lazy = components.of_config(
        {"type": Classifier, "heads": [{"type": "A.B.Head"}]}, "s"
    )
    assert lazy.names == built.names
    assert not lazy.built
    (part,) = lazy.parts
    assert (part.path, part.names, part.where) == ("heads.0", ("A.Head",), "A.B.Head")


def _shadowed(head):
    vars(head)["forward"] = lambda features: features[0]


def _compiled(head):
    forward = head.forward

    def compiled(features):
        return forward(features)

    compiled._torchdynamo_orig_callable = forward
    vars(head)["forward"] = compiled


@pytest.mark.parametrize(
    ("body", "change", "known"),
    [
        ({}, None, True),
        ({"__module__": "zoo.models"}, None, True),
        ({"__init__": lambda self: Head.__init__(self)}, None, True),
        ({"forward": lambda self, features: features[0]}, None, False),
        ({"bias": property(lambda self: self.training)}, None, False),
        ({"scale": 2}, None, False),
        ({"make": classmethod(lambda cls: cls())}, None, False),
        ({}, _shadowed, False),
        ({}, _compiled, True),
    ],
)
def test_a_subclass_without_attributes_of_its_own_works_as_its_base(
    body, change, known
):
    """Anything but an ``__init__`` may make it another; so may a function on it."""
    model = Classifier()
    model.head = type("Mine", (Head,), {"__module__": "mine", **body})()
    if change is not None:
        change(model.head)
    part = components.of_model(model).parts[-1]
    assert (part.kind_in("loss_forward") == "Head") is known


def test_an_adapter_without_a_library_is_refused():
    """It could never be asked."""
    with pytest.raises(ValueError, match=r"Nameless\.library is empty"):
        _libraries.register(type("Nameless", (Adapter,), {}))


def test_a_registered_adapter_takes_the_place_of_ours():
    """A user may know more of mmpretrain."""
    more = type("More", (MMPretrain,), {"models": ("MoCo",), "refused": {}})
    assert look(config(type="MoCo")).refusals
    _libraries.register(more)
    assert not look(config(type="MoCo")).refusals


def test_a_model_that_is_no_base_model_is_refused():
    """It has no modes."""
    plain = type("Classifier", (nn.Module,), {"__module__": "loss_forward.x"})()
    from valloss_compat._loss_forward.forward import SecondForward

    assert not judge(components.of_model(plain), []).refusals
    with pytest.raises(UnsupportedError, match="no forward with a mode 'loss'"):
        SecondForward.judged(plain, [], ())


class Sample(dict):
    """A data sample of mmpretrain, as far as the adapter looks at it."""

    def set_gt_score(self, score):
        self["gt_score"] = score


def test_samples_without_labels_are_refused():
    """Or none at all."""
    labelled = {"data_samples": [Sample(gt_label=1), Sample(gt_score=1)]}
    assert MMPretrain().prepare(labelled, []) is labelled
    for batch in ({"data_samples": [Sample()]}, {"inputs": []}, []):
        with pytest.raises(UnsupportedError, match="neither gt_label nor gt_score"):
            MMPretrain().prepare(batch, [])


def test_one_hot_labels_become_numbers_as_in_training():
    """F.cross_entropy takes no integers for them."""
    whole, real = Sample(gt_score=torch.tensor([0, 1])), Sample(gt_score=torch.ones(2))
    batch = {"data_samples": [whole, real, Sample()]}
    flags = []

    def preprocess(data, training):
        flags.append(training)
        return data

    model = types.SimpleNamespace(data_preprocessor=preprocess)
    assert MMPretrain().preprocess(model, batch, False) is batch
    assert whole["gt_score"].dtype is torch.float32
    assert flags == [False]
    assert Known().shared(Classifier())
