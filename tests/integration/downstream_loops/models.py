"""Models for these loops; the loss of a batch depends on its inputs."""

from __future__ import annotations

import torch
from mmengine.structures import BaseDataElement
from support.tiny import Model, element


class LossModel(Model):
    """Appends a loss to each result: the mean of the inputs, plus its level.

    Args:
        level (float): Distinguishes models.

    Attributes:
        silent (bool): Whether it appends none.
        shift (float): Distinguishes validations, for this model and its submodels.
    """

    shift = 0.0

    def __init__(self, level=0.0):
        super().__init__(None)
        self.level = level
        self.silent = False

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode == "loss":
            return super().forward(inputs, mode)
        results = [
            BaseDataElement(
                metainfo=dict(data_samples[index].metainfo) if data_samples else {},
                pred=torch.zeros(1),
            )
            for index in range(len(inputs))
        ]
        if not self.silent:
            mean = torch.stack(list(inputs)).mean()
            results.append(element(loss=mean + self.level + self.shift))
        return results

    def set_attributes(self, **attributes):
        """Set attributes of this model and its submodels."""
        for module in self.modules():
            if isinstance(module, LossModel):
                vars(module).update(attributes)


class Halves(LossModel):
    """For TeacherStudentValLoop."""

    teacher = student = None

    def __init__(self):
        super().__init__()
        self.semi_test_cfg = {}

    def forward(self, *args, **kwargs):
        half = self.semi_test_cfg.get("predict_on")
        self.level = {"teacher": 10.0, "student": 20.0}[half]
        return super().forward(*args, **kwargs)


class Student(LossModel):
    """For SingleTeacherDistillValLoop."""

    def __init__(self):
        super().__init__()
        self.teacher = LossModel(10.0)


class Quantized(LossModel):
    """For QATValLoop."""

    def __init__(self):
        super().__init__()
        self.architecture = LossModel(10.0)


class Mutator:
    """Selects the subnet of a model."""

    subnets = (10.0, 20.0)

    def __init__(self, model):
        vars(self)["choose"] = lambda level: vars(model).update(level=level)

    def set_choices(self, level):
        self.choose(level)

    def set_max_choices(self):
        self.choose(30.0)

    def set_min_choices(self):
        self.choose(20.0)

    def sample_choices(self):
        return 10.0


class Supernet(LossModel):
    """For SubnetValLoop, SlimmableValLoop and ItePruneValLoop."""

    sample_kinds = ("max", "min", "random")

    def __init__(self):
        super().__init__()
        self.mutator = Mutator(self)


class Estimator:
    """Estimates the resources of a subnet, for SubnetValLoop."""

    def estimate(self, model):
        return {"flops": 3.0}


class Retriever(LossModel):
    """For RetrievalValLoop, which never calls ``val_step``, so there is no loss."""

    def __init__(self):
        super().__init__()
        self.features = []
        self.losses = False

    def forward(self, inputs, data_samples=None, mode="tensor"):
        assert mode == "tensor"
        self.features.append({"image": torch.stack(list(inputs))})
        return self.features[-1]

    def predict_all(self, features, data_samples, num_images, num_texts):
        assert len(features["image"]) == len(data_samples) == num_images
        found = []
        for number in (num_images, num_texts):
            found.append([BaseDataElement(pred=torch.zeros(1)) for _ in range(number)])
            if self.losses:
                found[-1].append(element(loss=float(number)))
        return found
