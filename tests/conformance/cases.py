"""The class of conformance cases, and the list of all cases.

A case defines what the model returns. The behaviour of native mmengine was recorded
(``record.py``). Where the default mode of this package differs on purpose, the case
has the expected behaviour, derived by hand from the contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Tuple

Pairs = List[Tuple[str, Any]]
Metrics = Tuple[Tuple[str, Dict[str, Any]], ...]


@dataclass(frozen=True)
class Default:
    """Behaviour of the default mode where it differs from native on purpose.

    Attributes:
        why (str): The row of the contract that requires it.
        returned (list, optional): The metrics of each run, as (name, value).
        raises (str, optional): Name of the exception instead of metrics.
        matches (str): What the exception's message matches.
        passes_through (bool): Everything is as on an unpatched 0.10.4.
        calls_like (str, optional): Name of another case. Its native calls of hooks
            and metrics are expected, as native raises in this case.
    """

    why: str
    returned: list[Pairs] | None = None
    raises: str | None = None
    matches: str = ""
    passes_through: bool = False
    calls_like: str | None = None


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        name (str): The id.
        about (str): A description in one line.
        row (str): The row of the contract that it covers.
        result (Callable): Number of the step (counted over all runs) and the
            inputs of the batch -> what ``val_step`` or ``test_step`` returns.
        default (Default, optional): None if default mode is as native.
        warns (tuple[str]): What each warning in default mode matches, in order.
        runs (tuple[str]): ``'val'``, ``'test'`` and ``'train'``, in order.
        samples (int): Length of the dataset.
        batch_size (int): Samples in a batch.
        fp16 (bool): Whether the loops run in fp16 (bfloat16 on a CPU).
        metrics (tuple): Prefix and values of each metric in the evaluator.
        any_result (bool): Whether the evaluator overrides ``process`` and takes
            results of any type.
        train_cfg (dict): For ``'train'``.
        train_sampler (str): For ``'train'``.
        save_best (bool): Whether ``CheckpointHook(save_best='val_loss')`` is used.
    """

    name: str
    about: str
    row: str
    result: Callable[[int, Any], Any]
    default: Default | None = None
    warns: tuple[str, ...] = ()
    runs: tuple[str, ...] = ("val",)
    samples: int = 4
    batch_size: int = 2
    fp16: bool = False
    metrics: Metrics = (("", {"score": 0.25}),)
    any_result: bool = False
    train_cfg: dict[str, Any] = field(default_factory=dict)
    train_sampler: str = "DefaultSampler"
    save_best: bool = False


def all_cases() -> dict[str, Case]:
    """Return all cases by name."""
    from . import cases_loops, cases_results, cases_values

    cases: dict[str, Case] = {}
    for module in (cases_results, cases_values, cases_loops):
        for case in module.CASES:
            assert case.name not in cases, case.name
            cases[case.name] = case
    return cases
