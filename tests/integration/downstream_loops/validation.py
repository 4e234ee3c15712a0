"""A Runner around a class under test, and checks of every validation."""

from __future__ import annotations

import pytest
from mmengine.hooks import Hook
from mmengine.structures import BaseDataElement
from support.tiny import Digits, Spy, make_runner
from torch.utils.data import DataLoader


class Labelled(Digits):
    """Samples with a data sample that has the name of the dataset."""

    def __getitem__(self, index):
        found = super().__getitem__(index)
        name = self.metainfo.get("names", {}).get(index, "first")
        found["data_samples"] = BaseDataElement(metainfo={"dataset_name": name})
        return found


def labelled(length, batch_size=1, **attributes):
    """Return a DataLoader of such samples; ``attributes`` are set on the dataset."""
    dataset = Labelled(length)
    vars(dataset).update(attributes)

    def collate(items):
        return {key: [item[key] for item in items] for key in items[0]}

    return DataLoader(dataset, batch_size=batch_size, collate_fn=collate)


class RaiseOnce(Hook):
    """Raises before the n-th iteration of a validation, once."""

    def __init__(self):
        self.left = 0

    def before_val_iter(self, runner, *args, **kwargs):
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("halfway")

    before_test_iter = before_val_iter


class Validation:
    """A Runner with hooks, and the state that a validation must not change.

    Args:
        work_dir (Path): Directory for the logs of the Runner.
        model (LossModel): The model.
        **options: Arguments of ``tiny.make_runner``.
    """

    def __init__(self, work_dir, model, **options):
        self.spy, self.raising = Spy(), RaiseOnce()
        hooks = [*options.pop("custom_hooks", []), self.spy, self.raising]
        self.model = model
        self.runner = make_runner(
            work_dir, None, model=model, custom_hooks=hooks, **options
        )

    def run(self, stage="val", **attributes):
        """Validate or test once.

        Args:
            stage (str): ``'val'`` or ``'test'``.
            **attributes: Set on the model and its submodels.

        Returns:
            tuple: The metrics of each ``after_*_epoch``, and the number of
            results that hooks got.
        """
        self.model.set_attributes(**attributes)
        epochs, results = len(self.spy.metrics), len(self.spy.outputs)
        before = self.namespaces(stage)
        getattr(self.runner, stage)()
        self.check(before, stage)
        return self.spy.metrics[epochs:], len(self.spy.outputs) - results

    def fail(self, at, stage="val"):
        """Validate, and raise before the iteration number ``at``."""
        self.raising.left = at
        before = self.namespaces(stage)
        with pytest.raises(RuntimeError, match="halfway"):
            getattr(self.runner, stage)()
        self.check(before, stage)

    def namespaces(self, stage):
        """Return the attribute names of the model and its submodels."""
        getattr(self.runner, f"{stage}_loop")  # built now: some loops set attributes
        return [sorted(vars(module)) for module in self.model.modules()]

    def check(self, before, stage):
        """Assert that model and runner are unchanged and hooks got no loss element."""
        assert self.namespaces(stage) == before
        assert "call_hook" not in vars(self.runner)
        for outputs in self.spy.outputs:
            assert outputs
            assert not any(is_loss(item) for item in outputs)

    def tag(self, stage="val"):
        """Return the logged values of the latest validation, by name."""
        processor = self.runner.log_processor
        return processor.get_log_after_epoch(self.runner, 1, stage)[0]


def is_loss(item):
    """Whether an item is a loss element, also after ``to_dict``."""
    return list(getattr(item, "keys", list)()) == ["loss"]


def clean(metric):
    """Whether a metric got results without a loss element."""
    seen = [item for samples in metric.samples for item in samples]
    return bool(seen) and not any(map(is_loss, seen))
