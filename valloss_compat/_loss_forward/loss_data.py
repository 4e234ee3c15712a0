"""The data of a validation, brought into the frame that its losses need."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, List, Optional, Sequence, Tuple

from mmengine.dataset import Compose
from torch.utils.data import Dataset, IterableDataset

from valloss_compat._libraries.components import setting
from valloss_compat._libraries.pipelines import (
    DETECTIONS,
    datasets_within,
    training_transforms,
)
from valloss_compat._loss_forward.isolation import RandomState
from valloss_compat._loss_forward.loader import similar_loader
from valloss_compat._loss_forward.ramp import Seen, SeenOnRamp, show_on_ramps
from valloss_compat._loss_forward.two_views import (
    LossPipeline,
    TwoViews,
    loss_pipeline,
    replace_pipelines,
    take,
)
from valloss_compat.errors import UnsupportedError

#: Note where :func:`loader_config` found a detector.
ANNOTATED = "annotated boxes (bbox_file=None) from another data loader"
#: Samples of which one has to have a point, or a label map, for the ramp.
_SAMPLES = 16


class LossData:
    """Gives the batches of a loop with ground truth in the frame of the input.

    Args:
        dataloaders (list[DataLoader]): Those of the loop, or that of the losses alone.
        training (Sequence): Transforms of the training, built or in a config.
        pipeline (Sequence, optional): Transforms for the loss, if given by hand.
        for_loss_alone (bool): Whether the data loaders are for the losses alone, so
            that one view is enough.
        notes (Sequence[str]): What the caller did, for the log.

    Attributes:
        dataloaders (list[DataLoader]): As the argument.
        for_loss_alone (bool): As the argument.
        notes (list[str]): What the loss gets beside the data of the predictions.

    Raises:
        UnsupportedError: If the data are known to have no ground truth.
    """

    def __init__(
        self,
        dataloaders: List[Any],
        training: Sequence[Any] = (),
        pipeline: Optional[Sequence[Any]] = None,
        for_loss_alone: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        self.dataloaders = dataloaders
        self.for_loss_alone = for_loss_alone
        self.notes: List[str] = list(notes)
        given = None if pipeline is None else Compose(list(pipeline)).transforms

        def planned(own: List[Any]) -> Any:
            if given is None:
                plan = loss_pipeline(own, training)
            else:
                plan = LossPipeline(given, 0, ["the transforms of pipeline=[...]"])
            plans.append(plan)
            return Compose(plan.transforms) if for_loss_alone else TwoViews(own, plan)

        #: Each data loader, its own dataset, the one for the losses, and its plans.
        self._datasets: List[Tuple[Any, Any, Any, List[LossPipeline]]] = []
        for dataloader in dataloaders:
            if detections_in(dataloader.dataset):
                raise UnsupportedError(
                    "val_dataloader.dataset.bbox_file",
                    "its boxes come from a detector and have placeholder keypoints "
                    "(visible, at 0, 0), so that a loss would compare with those",
                    "bbox_file=None, which validates on the annotated boxes",
                )
            plans: List[LossPipeline] = []
            replaced = replace_pipelines(dataloader.dataset, planned)
            self._datasets.append((dataloader, dataloader.dataset, replaced, plans))
        every = [plan for *_, plans in self._datasets for plan in plans]
        for plan in every:
            self.notes += [note for note in plan.notes if note not in self.notes]
        # Else the predictions have the order of a training, too.
        self._differs = any(plan.shared < len(plan.transforms) for plan in every)
        self.install()

    def install(self) -> None:
        """Give the data loaders the datasets for the losses, if they need others."""
        for dataloader, _, dataset, _ in self._datasets if self._differs else ():
            _set_dataset(dataloader, dataset)

    def restore(self) -> None:
        """Give the data loaders their own datasets back."""
        for dataloader, dataset, _, _ in self._datasets:
            _set_dataset(dataloader, dataset)

    def take(self, batch: Any) -> Any:
        """Return a batch for the losses, and leave that for the predictions.

        It has data samples of its own, if one view is not enough, and shares the rest.
        """
        return take(batch) if self._differs and not self.for_loss_alone else batch

    def check_frame(self) -> None:
        """Reject data if on some samples the ground truth does not move with the image.

        So are samples that random numbers change.
        """
        with RandomState():  # an iterator of a DataLoader draws a seed
            for dataloader, dataset, _, plans in self._datasets:
                if plans and not isinstance(dataset, IterableDataset):
                    self._check_frame(dataloader, OnRamps(dataset, plans), len(dataset))

    def _check_frame(self, dataloader: Any, on_ramps: OnRamps, number: int) -> None:
        for seen in similar_loader(
            dataloader,
            dataset=on_ramps,
            sampler=range(0, number, max(1, number // _SAMPLES)),
            batch_sampler=None,
            collate_fn=_as_it_is,
        ):
            if seen.rejection is not None:
                raise UnsupportedError(*seen.rejection)
            if seen.compared is not False:
                return
        self.notes.append("annotations that no sample could verify")


class OnRamps(Dataset):
    """What ramps show of the samples of a dataset."""

    def __init__(self, dataset: Any, plans: List[LossPipeline]) -> None:
        ramps = iter([partial(show_on_ramps, plan.transforms) for plan in plans])
        self._dataset = replace_pipelines(dataset, lambda _: next(ramps))

    def __getitem__(self, index: int) -> Seen:
        try:
            self._dataset[index]
        except SeenOnRamp as result:
            return result.seen
        except Exception:  # of what comes before the transforms
            pass
        return Seen(None, False)


def _as_it_is(sample: Any) -> Any:
    return sample


def _set_dataset(dataloader: Any, dataset: Any) -> None:
    if dataloader.dataset is not dataset:
        vars(dataloader)["dataset"] = dataset  # its __setattr__ refuses
        dataloader._iterator = None  # persistent workers have the other dataset


def training_of(runner: Any) -> List[Any]:
    """Return the transforms of the training of a runner, if it has one."""
    entry = getattr(runner, "_train_dataloader", None)
    if entry is None:  # a Runner for validation alone
        entry = runner.cfg.get("train_dataloader")
    return training_transforms(setting(entry, "dataset"))


def detections_in(dataset: Any) -> bool:
    """Return whether the boxes of a dataset come from a detector (mmpose)."""
    own = bool(setting(dataset, DETECTIONS))
    return own or any(map(detections_in, datasets_within(dataset)))


def loader_config(strategy: str, dataloader: Any, validation: Any) -> Any:
    """Return the config of a data loader for the losses alone, if they need one.

    If the boxes of the ``validation`` are those of a detector, the losses need the
    annotated ones. The other arguments are those of ``ValLossHook``.
    """
    if dataloader is not None or strategy != "auto":
        return dataloader
    dataset = setting(validation, "dataset")
    if not isinstance(validation, Mapping) or not detections_in(dataset):
        return None
    config = copy.deepcopy(validation)
    waiting = [config["dataset"]]
    for dataset in waiting:  # grows while it is walked
        if dataset.get(DETECTIONS):
            dataset[DETECTIONS] = None
        waiting += datasets_within(dataset)
    return config
