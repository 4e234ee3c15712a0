"""Classes of the shape that downstream libraries have, for cells without them.

Each has the name of a real one, and overrides and calls what that one does, in
the same order; what it does beside is left out. They need nothing but mmengine,
so that every release meets these shapes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import EMAHook as MMEngineEMAHook
from mmengine.registry import DATASETS, TASK_UTILS
from mmengine.runner import BaseLoop, ValLoop
from mmengine.structures import BaseDataElement


def prefixed(metrics, prefix):
    """The metrics with a prefix to each name."""
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
    """As mmdet's: the model is told on which of its two halves to predict."""

    def run(self):
        self.begin()
        told = self.runner.model.semi_test_cfg
        before, found = told.get("predict_on"), {}
        for half in ("teacher", "student"):
            told["predict_on"] = half
            found.update(prefixed(self.one_pass(), f"{half}/"))
        told["predict_on"] = before
        self.end(found)


class SingleTeacherDistillValLoop(_OwnRun, _FollowedStep):
    """As mmrazor's: the second pass asks the teacher, not the runner's model."""

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
    """As mmrazor's: each subnet has a before_val_epoch of its own."""

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
    """As mmrazor's: run_iter is told the model; each pass is logged by itself."""

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


class EMAHook(MMEngineEMAHook):
    """As mmpretrain's: validates once more, with the weights of the training."""

    def __init__(self, evaluate_on_origin, **kwargs):
        super().__init__(**kwargs)
        assert evaluate_on_origin

    def after_val_epoch(self, runner, metrics=None):
        super().after_val_epoch(runner, metrics)
        self.validate_again(runner, runner.val_loop, "val")

    def after_test_epoch(self, runner, metrics=None):
        super().after_test_epoch(runner, metrics)
        self.validate_again(runner, runner.test_loop, "test")

    def validate_again(self, runner, loop, stage):
        runner.model.eval()
        for index, batch in enumerate(loop.dataloader):
            loop.run_iter(index, batch)
        for name, value in loop.evaluator.evaluate(
            len(loop.dataloader.dataset)
        ).items():
            runner.message_hub.update_scalar(f"{stage}/{name}_origin", value)


class SampledEvaluator(Evaluator):
    """As mmagic's Evaluator: told the metrics of each batch, and no size."""

    def __init__(self, metrics):
        self.metrics = None
        if metrics is not None:
            super().__init__(metrics)

    def samplers(self, model, dataloader):
        if self.metrics is None:
            return [([None], [])]
        groups = defaultdict(list)
        for metric in self.metrics:
            metric.prepare(model, dataloader)
            groups[metric.SAMPLER_MODE].append(metric)
        return [
            (group, group[0].get_metric_sampler(model, dataloader, group))
            for group in groups.values()
        ]

    def process(self, data_samples, data_batch, metrics):
        for metric in metrics if self.metrics is not None else ():
            metric.process(data_batch, list(data_samples))

    def evaluate(self):
        if self.metrics is None:
            return {"No Metric": "Nan"}
        return {k: v for metric in self.metrics for k, v in metric.evaluate().items()}


class _SeveralDatasets(BaseLoop):
    """Sets no ``evaluator`` before it runs, and returns nothing."""

    stage = ""

    def __init__(self, runner, dataloader, evaluator):
        self._runner = runner
        self.dataloaders = dataloader
        self.evaluators = evaluator

    def run_all(self):
        self.runner.call_hook(f"before_{self.stage}")
        self.runner.call_hook(f"before_{self.stage}_epoch")
        self.runner.model.eval()
        samplers = [
            evaluator.samplers(self.runner.model, dataloader)
            for evaluator, dataloader in zip(self.evaluators, self.dataloaders)
        ]
        found, index = {}, 0
        for place, pairs in enumerate(samplers):
            self.evaluator = self.evaluators[place]
            self.dataloader = self.dataloaders[place]
            for metrics, sampler in pairs:
                for batch in sampler:
                    self.run_iter(index, batch, metrics)
                    index += 1
            new = self.evaluator.evaluate()
            if new.keys() & found.keys():
                raise ValueError("give each dataset a different prefix")
            found.update(new)
        self.runner.call_hook(f"after_{self.stage}_epoch", metrics=found)
        self.runner.call_hook(f"after_{self.stage}")

    def follow(self, idx, data_batch, metrics, step):
        told = {"batch_idx": idx, "data_batch": data_batch}
        self.runner.call_hook(f"before_{self.stage}_iter", **told)
        outputs = step(data_batch)
        self.evaluator.process(outputs, data_batch, metrics)
        self.runner.call_hook(f"after_{self.stage}_iter", outputs=outputs, **told)


class MultiValLoop(_SeveralDatasets):
    """As mmagic's: a BaseLoop, no ValLoop, over several datasets."""

    stage = "val"

    def run(self):
        self.run_all()

    @torch.no_grad()
    def run_iter(self, idx, data_batch, metrics):
        self.follow(idx, data_batch, metrics, self.runner.model.val_step)


class MultiTestLoop(_SeveralDatasets):
    """As mmagic's: a BaseLoop, no TestLoop, over several datasets."""

    stage = "test"

    def run(self):
        self.run_all()

    @torch.no_grad()
    def run_iter(self, idx, data_batch, metrics):
        self.follow(idx, data_batch, metrics, self.runner.model.test_step)


class MultiDatasetsEvaluator(Evaluator):
    """As mmdet's and mmocr's: evaluates slices of what its metrics collected."""

    def __init__(self, metrics, dataset_prefixes):
        super().__init__(metrics)
        self.dataset_prefixes = dataset_prefixes

    def evaluate(self, size):
        ends, found = self.dataset_meta["cumulative_sizes"], {}
        slices = list(zip(self.dataset_prefixes, [0, *ends], ends))
        for (prefix, start, end), metric in zip(slices, self.metrics):
            new = metric.compute_metrics(metric.results[:size][start:end])
            found.update(prefixed(new, f"{prefix}/{metric.prefix}/"))
            metric.results.clear()
        return found


class MultiDatasetEvaluator(Evaluator):
    """As mmpose's: sorts samples by dataset, along with their part of the batch."""

    def __init__(self, metrics, datasets):
        super().__init__(metrics)
        named = [DATASETS.module_dict[dataset["type"]].METAINFO for dataset in datasets]
        self.by_name = {
            about["dataset_name"]: metric for about, metric in zip(named, self.metrics)
        }

    def process(self, data_samples, data_batch=None):
        sorted_out = defaultdict(list)
        batch = zip(data_batch["inputs"], data_batch["data_samples"])
        for (inputs, truth), sample in zip(batch, data_samples):
            sample = sample.to_dict() if isinstance(sample, BaseDataElement) else sample
            default = self.dataset_meta["dataset_name"]
            name = sample.get("dataset_name", default)
            sorted_out[name].append((inputs, truth, sample))
        for name, metric in self.by_name.items():
            if name in sorted_out:
                inputs, truths, samples = map(list, zip(*sorted_out[name]))
                part = {"inputs": inputs, "data_samples": truths}
                metric.process(part, samples)
