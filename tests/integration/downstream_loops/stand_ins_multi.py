"""Stand-ins for a hook, evaluators and loops that are no ValLoop.

Each has the shape of a class in a downstream library, without its code.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import EMAHook as MMEngineEMAHook
from mmengine.registry import DATASETS
from mmengine.runner import BaseLoop
from mmengine.structures import BaseDataElement

from integration.downstream_loops.stand_ins import prefixed


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
    """As mmagic's Evaluator: process takes metrics, evaluate takes no size."""

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
        batch = {"batch_idx": idx, "data_batch": data_batch}
        self.runner.call_hook(f"before_{self.stage}_iter", **batch)
        outputs = step(data_batch)
        self.evaluator.process(outputs, data_batch, metrics)
        self.runner.call_hook(f"after_{self.stage}_iter", outputs=outputs, **batch)


class MultiValLoop(_SeveralDatasets):
    """As mmagic's: derives from BaseLoop, and has several datasets."""

    stage = "val"

    def run(self):
        self.run_all()

    @torch.no_grad()
    def run_iter(self, idx, data_batch, metrics):
        self.follow(idx, data_batch, metrics, self.runner.model.val_step)


class MultiTestLoop(_SeveralDatasets):
    """As mmagic's: derives from BaseLoop, and has several datasets."""

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
    """As mmpose's: sorts samples and their part of the batch by dataset."""

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
