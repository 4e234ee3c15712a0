"""The data of a validation, brought into the frame that its losses need.

The data loaders are those of the loop, or further ones that read the same data.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Callable, List, Optional, Sequence, Tuple

from mmengine.dataset import Compose
from mmengine.dist import all_gather_object
from torch.utils.data import DataLoader, IterableDataset

from valloss_compat._config import setting
from valloss_compat._libraries import pipelines
from valloss_compat._loss_forward import two_views
from valloss_compat._loss_forward.isolation import RandomState, within
from valloss_compat._loss_forward.ramp import OnRamps, Seen
from valloss_compat._loss_forward.two_views import LossPipeline, TwoViews, loss_pipeline
from valloss_compat.errors import Rejection, UnsupportedError

#: Samples of which one has to have a point, or a label map, for the ramp.
_SAMPLES = 16


class LossData:
    """Gives the batches of a loop with ground truth in the frame of the input.

    The transforms are those of the validation in the order of the ``training``, which
    may be in a config, or those of a ``pipeline`` given by hand. ``for_loss_alone`` is
    whether the data loaders are for the losses alone, so that one view is enough.
    ``notes`` say what the loss gets beside the data of the predictions.

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
            replaced = two_views.replace_pipelines(dataloader.dataset, planned)
            self._datasets.append((dataloader, dataloader.dataset, replaced, plans))
        every = [plan for *_, plans in self._datasets for plan in plans]
        for plan in every:
            self.notes += [note for note in plan.notes if note not in self.notes]
        # Else the predictions have the order of a training, too.
        self._differs = any(plan.shared < len(plan.transforms) for plan in every)

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
        if self.for_loss_alone or not self._differs:
            return batch
        second, views = two_views.split(batch)
        for view in views:
            if isinstance(view, Rejection):
                raise UnsupportedError(*view)
        if not views or None in views:
            raise UnsupportedError(
                "a validation batch",
                "its data samples did not come from the data loader that the loop had "
                "when the validation started",
                "build the data loader before the validation, with "
                "collate_fn=dict(type='pseudo_collate')",
            )
        return second

    def check_frame(self) -> None:
        """Reject data if on some samples the ground truth does not move with the image.

        So are samples that random numbers change.
        """
        # An iterator of a DataLoader draws a seed.
        within([RandomState()], self._check_samples)

    def _check_samples(self) -> None:
        for dataloader, dataset, _, plans in self._datasets:
            if not plans or isinstance(dataset, IterableDataset):
                continue
            for seen in similar_loader(
                dataloader,
                dataset=OnRamps(dataset, [plan.transforms for plan in plans]),
                sampler=range(0, len(dataset), max(1, len(dataset) // _SAMPLES)),
                batch_sampler=None,
                collate_fn=Seen._make,
            ):
                if seen.rejection is not None:
                    raise UnsupportedError(*seen.rejection)
                if seen.compared is not False:
                    break
            else:
                self.notes.append("annotations that no sample could verify")


def _set_dataset(dataloader: Any, dataset: Any) -> None:
    if dataloader.dataset is not dataset:
        vars(dataloader)["dataset"] = dataset  # its __setattr__ refuses
        dataloader._iterator = None  # persistent workers have the other dataset


def training_of(runner: Any) -> List[Any]:
    """Return the transforms of the training of a runner, if it has one."""
    entry = getattr(runner, "_train_dataloader", None)
    if entry is None:  # a Runner for validation alone
        entry = runner.cfg.get("train_dataloader")
    return pipelines.training_transforms(setting(entry, "dataset"))


def detections_in(dataset: Any) -> bool:
    """Return whether the boxes of a dataset come from a detector (mmpose)."""
    own = bool(setting(dataset, pipelines.DETECTIONS))
    return own or any(map(detections_in, pipelines.datasets_within(dataset)))


def data_for_losses(
    options: Any,
    validation: Any,
    training: Sequence[Any],
    load: Callable[[Any], List[Any]],
) -> LossData:
    """Return the data for the losses of a ``ValLossHook``, or of its entry in a config.

    ``validation`` is the data loader of the validation, or its config. ``load`` gets
    the config of a data loader for the losses alone, or None for those of the
    validation.
    """
    given = setting(options, "dataloader")
    config = given
    if given is None and setting(options, "strategy", "auto") == "auto":
        config = _annotated(validation)
    alone, notes = config is not None, []
    if alone and given is None:
        notes = ["annotated boxes (bbox_file=None) from another data loader"]
    training = training if given is None else ()
    pipeline = setting(options, "pipeline")
    return LossData(load(config), training, pipeline, alone, notes)


def _annotated(validation: Any) -> Any:
    """Return the config of a data loader with annotated boxes for those of a detector.

    None if the boxes of the validation are annotated.
    """
    dataset = setting(validation, "dataset")
    if not isinstance(validation, Mapping) or not detections_in(dataset):
        return None
    config = copy.deepcopy(validation)
    waiting = [config["dataset"]]
    for dataset in waiting:  # grows while it is walked
        if dataset.get(pipelines.DETECTIONS):
            dataset[pipelines.DETECTIONS] = None
        waiting += pipelines.datasets_within(dataset)
    return config


def check_equal_batches(model: str, dataloaders: List[Any]) -> None:
    """Require the same number of batches on all ranks: a loss may average over them."""
    lengths = all_gather_object(list(map(number_of_batches, dataloaders)))
    if any(length != lengths[0] for length in lengths):
        raise UnsupportedError(
            model,
            "the ranks have different numbers of validation batches "
            f"({', '.join(str(sum(length)) for length in lengths)}), but mode "
            "'loss' may wait for all ranks at each batch",
            "sampler=dict(type='DefaultSampler', shuffle=False, round_up=True) in "
            "the data loader",
        )


def number_of_batches(dataloader: Any) -> int:
    """Return the length of a data loader; 0 if its dataset has none."""
    try:
        return len(dataloader)
    except TypeError:
        return 0


def build_loader(runner: Any, config: Any) -> Any:
    """Build a data loader for the losses alone, as a Runner builds its own.

    Raises:
        UnsupportedError: If it shuffles or never ends: the losses of two validations
            could not be compared.
    """
    rejection = pipelines.check_sampler(config)
    if rejection is not None:
        raise UnsupportedError(*rejection)
    config = copy.deepcopy(config) if isinstance(config, Mapping) else config
    seed = getattr(runner, "seed", None)
    return within([RandomState()], lambda: runner.build_dataloader(config, seed=seed))


def first_batch(dataloader: Any) -> Any:
    """Load the first batch of a data loader by another one.

    Samplers that keep something between batches are copied. None if there is no batch,
    or if the loader gives none by index.
    """
    dataset = dataloader.dataset
    if isinstance(dataset, IterableDataset) or not number_of_batches(dataloader):
        return None
    batches = dataloader.batch_sampler
    # A sampler may have the dataset as it was before the second views.
    holders = (dataloader, batches, getattr(batches, "sampler", None))
    names = ("dataset", "data_source")
    shared = [getattr(one, name, None) for one in holders for name in names]
    sampler = copy.deepcopy(batches, {id(one): one for one in shared})
    indices = next(iter(sampler or ()), None)
    if indices is None:
        return None
    return next(iter(similar_loader(dataloader, batch_sampler=[indices])))


def similar_loader(dataloader: Any, **changes: Any) -> DataLoader:
    """Return a data loader as another one, with some attributes changed.

    It has a worker, if the other has some: files that a dataset opens must not be open
    in the process that forks the workers.
    """
    similar: Any = DataLoader.__new__(DataLoader)
    # Not by its constructor: a loader as built has more than its arguments say.
    vars(similar).update(
        vars(dataloader),
        _iterator=None,
        num_workers=min(1, dataloader.num_workers),
        persistent_workers=False,
        pin_memory=False,
        generator=None,  # nothing is drawn from that of the other
        **changes,
    )
    return similar
