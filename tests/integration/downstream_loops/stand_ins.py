"""Classes shaped like those of downstream libraries, for cells without them.

Each has the name of a real class, overrides the same methods and makes the same calls
in the same order, and nothing else. They need only mmengine, so every release is
tested with these shapes.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from mmengine.registry import TASK_UTILS
from mmengine.runner import ValLoop


def prefixed(metrics, prefix):
    """Return the metrics with a prefix to each name."""
    return {prefix + name: value for name, value in metrics.items()}


class _OwnRun(ValLoop):
    def begin(self):
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        self.runner.model.eval()

    def one_pass(self, iterate=None, *args):
        for index, batch in enumerate(self.dataloader):
            (iterate or self.run_iter)(index, batch, *args)
        return self.evaluator.evaluate(len(self.dataloader.dataset))

    def end(self, metrics):
        self.runner.call_hook("after_val_epoch", metrics=metrics)
        self.runner.call_hook("after_val")


class _FollowedStep(ValLoop):
    def step_of(self, model, index, batch):
        self.runner.call_hook("before_val_iter", batch_idx=index, data_batch=batch)
        outputs = model.val_step(batch)
        self.evaluator.process(data_samples=outputs, data_batch=batch)
        self.runner.call_hook(
            "after_val_iter", batch_idx=index, data_batch=batch, outputs=outputs
        )


class TeacherStudentValLoop(_OwnRun):
    """As mmdet's: a setting of the model selects which half predicts."""

    def run(self):
        self.begin()
        config = self.runner.model.semi_test_cfg
        before, found = config.get("predict_on"), {}
        for half in ("teacher", "student"):
            config["predict_on"] = half
            found.update(prefixed(self.one_pass(), f"{half}/"))
        config["predict_on"] = before
        self.end(found)


class SingleTeacherDistillValLoop(_OwnRun, _FollowedStep):
    """As mmrazor's: the second pass calls the teacher, not the runner's model."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.teacher = self.runner.model.teacher
        self.teacher.data_preprocessor = self.runner.model.data_preprocessor

    def run(self):
        self.begin()
        found = self.one_pass()
        self.runner.call_hook("before_val_epoch")
        found.update(prefixed(self.one_pass(self.run_iter_teacher), "teacher."))
        self.end(found)

    @torch.no_grad()
    def run_iter_teacher(self, idx, data_batch):
        self.step_of(self.teacher, idx, data_batch)


class SelfDistillValLoop(_OwnRun):
    """As mmrazor's: one pass, all names with a prefix."""

    def run(self):
        self.begin()
        self.end(prefixed(self.one_pass(), "student."))


class SubnetValLoop(_OwnRun):
    """As mmrazor's: calibrates each subnet on training data before it validates."""

    def __init__(self, *args, estimator_cfg, **kwargs):
        super().__init__(*args, **kwargs)
        self.estimator = TASK_UTILS.build(estimator_cfg)

    def run(self):
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        mutator, found = self.runner.model.mutator, {}
        for kind in self.runner.model.sample_kinds:
            if kind == "random":
                mutator.set_choices(mutator.sample_choices())
            else:
                getattr(mutator, f"set_{kind}_choices")()
            found.update(prefixed(self.validate_subnet(), f"{kind}_subnet."))
        self.end(found)

    def validate_subnet(self):
        self.calibrate()
        self.runner.model.eval()
        found = self.one_pass()
        found.update(self.estimator.estimate(self.runner.model))
        return found

    @torch.no_grad()
    def calibrate(self):
        self.runner.model.train()
        for batch in self.runner.train_dataloader:
            self.runner.model.test_step(batch)


class SlimmableValLoop(_OwnRun):
    """As mmrazor's: calls before_val_epoch for each subnet."""

    def run(self):
        self.runner.call_hook("before_val")
        mutator, found = self.runner.model.mutator, {}
        for number, subnet in enumerate(mutator.subnets):
            self.runner.call_hook("before_val_epoch")
            self.runner.model.eval()
            mutator.set_choices(subnet)
            found.update(prefixed(self.one_pass(), f"subnet_{number}."))
        self.end(found)


class ItePruneValLoop(_OwnRun):
    """As mmrazor's: saves something between evaluate and the hooks."""

    def run(self):
        self.begin()
        found = self.one_pass()
        weights = self.runner.model.state_dict()
        path = Path(self.runner.work_dir) / "fix_subnet.json"
        path.write_text(json.dumps(sorted(weights)))
        self.end(found)
        return found


class QATValLoop(_OwnRun, _FollowedStep):
    """As mmrazor's: run_iter takes the model; each pass is logged separately."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.architecture = self.runner.model.architecture
        self.architecture.data_preprocessor = self.runner.model.data_preprocessor

    def run(self):
        self.begin()
        self.log_pass(self.runner.model, "qat.", "original.")
        self.runner.call_hook("before_val_epoch")
        self.runner.model.eval()
        found = self.log_pass(self.architecture, "original.", "qat.")
        self.runner.call_hook("after_val")
        return found

    def log_pass(self, model, mine, others):
        found = self.one_pass(self.run_iter, model)
        for name in found:
            self.runner.message_hub.log_scalars.pop(f"val/{others}{name}", None)
        found = prefixed(found, mine)
        self.runner.call_hook("after_val_epoch", metrics=found)
        return found

    @torch.no_grad()
    def run_iter(self, idx, data_batch, model):
        self.step_of(model, idx, data_batch)


class RetrievalValLoop(_OwnRun):
    """As mmpretrain's and mmaction2's: features of all batches, then predictions."""

    @torch.no_grad()
    def run(self):
        self.begin()
        model, features, samples = self.runner.model, [], []
        for index, batch in enumerate(self.dataloader):
            self.runner.call_hook("before_val_iter", batch_idx=index, data_batch=batch)
            batch = model.data_preprocessor(batch, False)
            outputs = model._run_forward(batch, mode="tensor")
            features.append(outputs)
            samples.extend(batch["data_samples"])
            self.runner.call_hook(
                "after_val_iter", batch_idx=index, data_batch=batch, outputs=outputs
            )
        joined = {key: torch.cat([one[key] for one in features]) for key in features[0]}
        dataset, found = self.dataloader.dataset, {}
        sizes = {"i2t/": dataset.img_size, "t2i/": dataset.text_size}
        predictions = model.predict_all(
            joined, samples, num_images=sizes["i2t/"], num_texts=sizes["t2i/"]
        )
        for (prefix, size), predicted in zip(sizes.items(), predictions):
            self.evaluator.process(predicted, None)
            found.update(prefixed(self.evaluator.evaluate(size), prefix))
        self.end(found)
        return found
