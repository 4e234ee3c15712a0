"""The contents of patched namespaces, to be compared before and after."""

from __future__ import annotations

from mmengine import model, runner
from mmengine.evaluator import Evaluator
from mmengine.registry import Registry
from mmengine.runner import LogProcessor, Runner, loops

import valloss_compat
from valloss_compat._patches.patch import full_name


def targets():
    """Return the contents of all patched namespaces, including loaded subclasses."""
    status = valloss_compat.status()
    # A list: classes that other tests left may have no hash.
    owners = [LogProcessor, Registry, loops.BaseLoop, loops, Runner]
    owners += [getattr(runner, "FlexibleRunner", Runner)]
    owners += [getattr(model, "BaseTTAModel", Runner)]
    for root in (loops.ValLoop, loops.TestLoop, Evaluator):
        owners.extend((root, *root.__subclasses__()))
    found = {(id(o), key): value for o in owners for key, value in vars(o).items()}
    # Keeps the classes alive: a collected one would be a difference.
    found.update(((id(owner), None), owner) for owner in owners)
    names = {patch.target.rpartition(".")[0] for patch in status.patches}
    known = {full_name(owner) for owner in owners}
    assert {name for name in names if name.startswith("mmengine")} <= known
    return found


def same(one, other):
    return one.keys() == other.keys() and all(one[key] is other[key] for key in one)
