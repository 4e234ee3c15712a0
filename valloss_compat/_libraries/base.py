"""What ``ValLossHook`` asks of a library, as tables that need no library.

An adapter knows which models give the right loss in eval mode, which parts
make it a wrong one, and what the ground truth of a validation needs before a
loss may see it. What no table knows is refused: a wrong number would come
without an error.
"""

from __future__ import annotations

import importlib
import inspect
from typing import (
    Any,
    ClassVar,
    Collection,
    Dict,
    List,
    Mapping,
    Optional,
    Tuple,
    Type,
)

from valloss_compat._libraries.components import BRICKS, Part, Pipeline
from valloss_compat.errors import Rejection

#: The way out for what the tables do not know, where that is a class.
TRUST = "if its loss is right in eval mode, say so: ValLossHook(trust=[{where!r}])"
#: The way out where model and loss are right, but not on the data as validated.
LOADER = (
    "ValLossHook(strategy='dataloader', dataloader=...) with the train pipeline "
    "without its random transforms"
)

#: Backbones and necks of these do nothing else in eval mode, but for those refused.
_LIBRARIES = (
    *BRICKS,
    "builtins",
    "mmaction",
    "mmdet",
    "mmdet3d",
    "mmpose",
    "mmpretrain",
    "mmseg",
    "timm",
)


#: Library -> module and class of its adapter, imported when it is asked for.
_ADAPTERS = {
    "mmaction": "valloss_compat._libraries.unsupported:MMAction",
    "mmagic": "valloss_compat._libraries.unsupported:MMagic",
    "mmdet": "valloss_compat._libraries.mmdet:MMDet",
    "mmdet3d": "valloss_compat._libraries.unsupported:MMDet3D",
    "mmocr": "valloss_compat._libraries.unsupported:MMOCR",
    "mmpose": "valloss_compat._libraries.mmpose:MMPose",
    "mmpretrain": "valloss_compat._libraries.mmpretrain:MMPretrain",
    "mmseg": "valloss_compat._libraries.mmseg:MMSeg",
    "mmyolo": "valloss_compat._libraries.unsupported:MMYOLO",
}
_registered: Dict[str, Type[Adapter]] = {}


class Adapter:
    """Knowledge of one library; the class attributes are its tables.

    Attributes:
        library (str): Its top-level package; also the scope in a config.
        models (Collection[str]): Class names of the models whose loss is known
            to be right.
        known (Collection[str]): Class names of the parts of the library (heads,
            losses) that are known to be right.
        free (tuple[str]): Paths in the model of what needs to be in no table
            of known parts: backbone and neck. What a table refuses is refused
            there too, and so is a class of the user's that looks at
            ``self.training``.
        refused (Mapping): Class name of a model or part -> reason and way out.
        training_preprocessor (bool): The flag ``training`` that the data
            preprocessor gets for the loss.
        may_draw (bool): Whether losses may draw random numbers (as a sampler
            of boxes does). Where not, one that does is refused.
        may_sync (bool): Whether losses may wait for other ranks (to average
            over all of their samples). Then each rank needs as many batches.
        may_change (Collection[str]): Names of attributes that parts may set in
            mode ``'loss'``, as they have no part in the loss.
    """

    library: ClassVar[str] = ""
    models: ClassVar[Collection[str]] = ()
    known: ClassVar[Collection[str]] = ()
    free: ClassVar[Tuple[str, ...]] = ("backbone", "neck", "data_preprocessor")
    refused: ClassVar[Mapping[str, Tuple[str, str]]] = {}
    training_preprocessor: ClassVar[bool] = False
    may_draw: ClassVar[bool] = False
    may_sync: ClassVar[bool] = False
    may_change: ClassVar[Collection[str]] = ()

    # What is judged beforehand, of objects and configs alike.

    def refuse_model(self, model: Part, trust: Collection[str]) -> Optional[Rejection]:
        """Judge a model: for all strategies.

        Args:
            model (Part): The model, built or in a config.
            trust (Collection[str]): Full names of classes that the user
                answers for.

        Returns:
            Rejection, optional: None if its loss in eval mode is known to be right.
        """
        for part in model.walk():
            if part.trusted(trust):
                continue
            refusal = self.refuse_part(part)
            if refusal is not None:
                return refusal
        return None

    def refuse_part(self, part: Part) -> Optional[Rejection]:
        """Judge one part of a model, or the model itself (its path is ``''``)."""
        for name in part.names:
            library, _, kind = name.rpartition(".")
            of_library = self if library == self.library else tables_of(library)
            if of_library is not None and kind in of_library.refused:
                return Rejection(str(part), *of_library.refused[kind])
        known = self.known if part.path else self.models
        if part.kind_in(self.library) in known:
            return None
        if part.path and part.library in BRICKS:
            return None
        if any(part.path == f or part.path.startswith(f"{f}.") for f in self.free):
            return _refuse_own(part)
        return Rejection(
            str(part),
            f"valloss_compat does not know {part.where}",
            TRUST.format(where=part.to_trust),
        )

    def refuse_pipeline(self, model: Part, pipeline: Pipeline) -> Optional[Rejection]:
        """Judge the transforms of a validation dataset: not for ``dataloader``.

        Args:
            model (Part): The model.
            pipeline (tuple[Part]): The transforms in order.

        Returns:
            Rejection, optional: None if :meth:`prepare` can bring the ground
            truth into the input's frame. Its way out names the transform to
            add, and where.
        """
        return None

    def refuse_data(
        self, model: Part, pipelines: List[Pipeline]
    ) -> Optional[Rejection]:
        """Judge all datasets of a validation; none seen, or several that differ."""
        for pipeline in pipelines:
            refusal = self.refuse_pipeline(model, pipeline)
            if refusal is not None:
                return refusal
        return None

    def refuse_loader(
        self, model: Part, pipelines: List[Pipeline]
    ) -> Optional[Rejection]:
        """Judge the data sets of a loss dataloader that :meth:`refuse_data` refuses.

        Its batches get no :meth:`prepare`: the ground truth has to be in the
        input's frame as it is loaded. None of its transforms draws.

        Args:
            model (Part): The model.
            pipelines (list[Pipeline]): Of all its data sets.

        Returns:
            Rejection, optional: None if the ground truth is in that frame.
        """
        return None

    # What is done with each batch.

    def prepare(self, batch: Any, pipelines: List[Pipeline]) -> Any:
        """Bring the ground truth of a batch into the input's frame.

        Args:
            batch: A deep copy of what the dataloader gave, made before the
                predictions: it may be changed in place.
            pipelines (list[Pipeline]): As of :meth:`refuse_data`.

        Returns:
            The batch for the data preprocessor.

        Raises:
            UnsupportedError: If this batch cannot be brought there.
        """
        return batch

    def preprocess(self, model: Any, batch: Any, from_loader: bool) -> Any:
        """Run the model's data preprocessor for the loss.

        Args:
            model (nn.Module): The model, without wrappers.
            batch: What :meth:`prepare` returned, or a batch of the separate
                loss dataloader.
            from_loader (bool): Whether it is one of that dataloader.

        Returns:
            What the model's ``forward`` takes.
        """
        return model.data_preprocessor(batch, self.training_preprocessor)

    def shared(self, model: Any) -> List[Any]:
        """The modules that run once for both, where they get the very same.

        Args:
            model (nn.Module): The model, without wrappers.

        Returns:
            list[nn.Module]: Backbone, neck, and heads whose ``forward`` gets
            equal arguments for predictions and loss. Whether they do is seen
            to in each batch; a module that is listed in vain costs a comparison.
        """
        named = (getattr(model, name, None) for name in ("backbone", "neck"))
        return [module for module in named if module is not None]


def register(adapter: Type[Adapter]) -> Type[Adapter]:
    """Add the adapter of a library, or take the place of ours; a decorator.

    Args:
        adapter (type): A subclass of :class:`Adapter` that names its library.
    """
    if not adapter.library:
        raise ValueError(
            f"{adapter.__name__}.library is empty, but the name of a top-level "
            "package is expected: set it to that of the models it knows"
        )
    _registered[adapter.library] = adapter
    return adapter


def tables_of(library: str) -> Optional[Adapter]:
    """The adapter of a library, or None."""
    if library in _registered:
        return _registered[library]()
    if library not in _ADAPTERS:
        return None
    module, _, cls = _ADAPTERS[library].partition(":")
    found: Adapter = getattr(importlib.import_module(module), cls)()
    return found


def _refuse_own(part: Part) -> Optional[Rejection]:
    """Refuse a class that may look at the mode, of no library that is known.

    One that is built only: a config does not show the class.
    """
    for cls in type(part.source).__mro__ if part.built else ():
        if cls.__module__.partition(".")[0] in _LIBRARIES:
            continue
        try:
            looks = "self.training" in inspect.getsource(cls)
        except (OSError, TypeError):
            looks = True  # as far as anybody can see
        if looks:
            return Rejection(
                str(part),
                f"{cls.__name__} looks at self.training, or has no source to be read: "
                "in eval mode it may give something else than its loss expects",
                TRUST.format(where=part.to_trust),
            )
    return None
