"""The real classes, and the stand-ins of the same names."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import NamedTuple

import pytest

from integration.downstream_loops.stub_packages import real

#: Whether all libraries have to be installed.
IN_DOWNSTREAM = os.environ.get("VALLOSS_COMPAT_CELL") == "downstream"


class Real(NamedTuple):
    """The place of a class in a downstream library."""

    library: str
    module: str
    name: str

    def is_expected(self):
        """Whether the library is installed, or has to be."""
        return IN_DOWNSTREAM or find_spec(self.library) is not None

    def load(self):
        """Return the class; skip the test if there is none."""
        found = real(*self)
        if found is None:
            pytest.skip(f"no {self.library}: tox's `downstream` has it")
        return found


REALS = [
    Real("mmdet", "mmdet.engine.runner.loops", "TeacherStudentValLoop"),
    Real(
        "mmdet",
        "mmdet.evaluation.evaluator.multi_datasets_evaluator",
        "MultiDatasetsEvaluator",
    ),
    Real(
        "mmocr",
        "mmocr.evaluation.evaluator.multi_datasets_evaluator",
        "MultiDatasetsEvaluator",
    ),
    Real(
        "mmpose",
        "mmpose.evaluation.evaluators.mutli_dataset_evaluator",
        "MultiDatasetEvaluator",
    ),
    Real(
        "mmrazor",
        "mmrazor.engine.runner.distill_val_loop",
        "SingleTeacherDistillValLoop",
    ),
    Real("mmrazor", "mmrazor.engine.runner.distill_val_loop", "SelfDistillValLoop"),
    Real("mmrazor", "mmrazor.engine.runner.subnet_val_loop", "SubnetValLoop"),
    Real("mmrazor", "mmrazor.engine.runner.slimmable_val_loop", "SlimmableValLoop"),
    Real("mmrazor", "mmrazor.engine.runner.iteprune_val_loop", "ItePruneValLoop"),
    Real("mmrazor", "mmrazor.engine.runner.quantization_loops", "QATValLoop"),
    Real("mmpretrain", "mmpretrain.engine.runners.retrieval_loop", "RetrievalValLoop"),
    Real("mmaction", "mmaction.engine.runner.retrieval_loop", "RetrievalValLoop"),
    Real("mmpretrain", "mmpretrain.engine.hooks.ema_hook", "EMAHook"),
    Real("mmagic", "mmagic.engine.runner.multi_loops", "MultiValLoop"),
    Real("mmagic", "mmagic.engine.runner.multi_loops", "MultiTestLoop"),
    Real("mmagic", "mmagic.evaluation.evaluator", "Evaluator"),
]


def sources(stand_in):
    """Yield a stand-in and the real classes of its name, as parameters of ``cls``."""
    name = stand_in.__name__
    yield pytest.param(stand_in, id=f"{name}-stand-in")
    for place in REALS:
        if place.name == name:
            yield pytest.param(place, id=f"{name}-{place.library}")


def each(*stand_ins):
    """Parametrise ``cls`` over stand-ins and the installed real classes."""
    both = [
        source
        for stand_in in stand_ins
        for source in sources(stand_in)
        if source.values[0] is stand_in or source.values[0].is_expected()
    ]
    return pytest.mark.parametrize("cls", both, indirect=True)
