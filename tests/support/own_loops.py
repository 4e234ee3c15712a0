"""Validation loops and hooks as a user would write them."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import ValLoop


def with_loop(runner, loop_class, stage="val", **attributes):
    """Replace a loop of a runner by one of the given class."""
    loop = loop_class(
        runner,
        getattr(runner, f"_{stage}_dataloader"),
        getattr(runner, f"_{stage}_evaluator"),
    )
    vars(loop).update(attributes)
    setattr(runner, f"_{stage}_loop", loop)
    return loop


class OwnRun(ValLoop):
    """Overrides `run` with two passes, as mmdet's TeacherStudentValLoop."""

    def run(self):
        self.runner.call_hook("before_val_epoch")
        metrics = {}
        for prefix in ("teacher", "student"):
            for index, batch in enumerate(self.dataloader):
                self.run_iter(index, batch)
            found = self.evaluator.evaluate(len(self.dataloader.dataset))
            metrics.update({f"{prefix}/{key}": value for key, value in found.items()})
        return metrics


class ValidateInside(Hook):
    """Validates with another runner before each test iteration."""

    def __init__(self, inner):
        self.inner, self.found = inner, []

    def before_test_iter(self, runner, batch_idx, data_batch=None):
        self.found.append(self.inner.val()["val_loss"])
