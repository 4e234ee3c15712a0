"""A real Runner around a class under test, and what is asked of every validation."""

from __future__ import annotations

import pytest
from mmengine.hooks import Hook
from mmengine.structures import BaseDataElement
from support.tiny import Digits, Spy, make_runner
from torch.utils.data import DataLoader


class Labelled(Digits):
    """Samples that also have a data sample, named after their dataset."""

    def __getitem__(self, index):
        found = super().__getitem__(index)
        name = self.metainfo.get("names", {}).get(index, "first")
        found["data_samples"] = BaseDataElement(metainfo={"dataset_name": name})
        return found


def labelled(length, batch_size=1, **attributes):
    """A DataLoader of such samples; ``attributes`` are set on the dataset."""
    dataset = Labelled(length)
    vars(dataset).update(attributes)

    def collate(items):
        return {key: [item[key] for item in items] for key in items[0]}

    return DataLoader(dataset, batch_size=batch_size, collate_fn=collate)


class Trip(Hook):
    """Raises before the n-th iteration of a validation, once."""

    def __init__(self):
        self.left = 0

    def before_val_iter(self, runner, *args, **kwargs):
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("halfway")

    before_test_iter = before_val_iter


class Scene:
    """A Runner, the hooks in it, and the state that it has to keep.

    Args:
        work_dir (Path): For the logs of the Runner.
        model (Talker): The model.
        **options: Arguments of ``tiny.make_runner``.
    """

    def __init__(self, work_dir, model, **options):
        self.spy, self.trip = Spy(), Trip()
        hooks = [*options.pop("custom_hooks", []), self.spy, self.trip]
        self.model = model
        self.runner = make_runner(
            work_dir, None, model=model, custom_hooks=hooks, **options
        )

    def run(self, stage="val", **told):
        """Validate or test once.

        Args:
            stage (str): ``'val'`` or ``'test'``.
            **told: Set on the model and those in it.

        Returns:
            tuple: The metrics of each ``after_*_epoch``, and the number of
            results that hooks saw.
        """
        self.model.tell_all(**told)
        epochs, results = len(self.spy.metrics), len(self.spy.outputs)
        before = self.namespaces(stage)
        getattr(self.runner, stage)()
        self.check(before, stage)
        return self.spy.metrics[epochs:], len(self.spy.outputs) - results

    def fail(self, at, stage="val"):
        """Validate until before the iteration with the number ``at``."""
        self.trip.left = at
        before = self.namespaces(stage)
        with pytest.raises(RuntimeError, match="halfway"):
            getattr(self.runner, stage)()
        self.check(before, stage)

    def namespaces(self, stage):
        """The names that stand on the model, and on each model in it."""
        getattr(self.runner, f"{stage}_loop")  # made now: some set names themselves
        return [sorted(vars(module)) for module in self.model.modules()]

    def check(self, before, stage):
        """Nothing of ours is on the model or runner; nobody saw a loss element."""
        assert self.namespaces(stage) == before
        assert "call_hook" not in vars(self.runner)
        for outputs in self.spy.outputs:
            assert outputs
            assert not any(is_loss(item) for item in outputs)

    def tag(self, stage="val"):
        """What the log of the latest validation shows, by name."""
        processor = self.runner.log_processor
        return processor.get_log_after_epoch(self.runner, 1, stage)[0]


def is_loss(item):
    """Whether an item is a loss element, also after ``to_dict``."""
    return list(getattr(item, "keys", list)()) == ["loss"]


def clean(metric):
    """Whether a metric saw results, and no loss element among them."""
    seen = [item for samples in metric.samples for item in samples]
    return bool(seen) and not any(map(is_loss, seen))
