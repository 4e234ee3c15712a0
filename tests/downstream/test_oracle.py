"""The validation loss of shipped models is that of data loaded as for training."""

from __future__ import annotations

import copy
import uuid
from typing import Any, Dict, List

import pytest

pytest.importorskip(
    "mmcv.ops", reason="mmcv without ops: tox -m downstream-full has it"
)

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from downstream import oracle, shipped

#: The libraries use what torch, numpy and each other have deprecated; ours still count.
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::valloss_compat.VallossCompatWarning"),
]


class Seed(Hook):
    """Samplers of boxes draw: as the oracle, each batch starts from its own seed."""

    def before_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        torch.manual_seed(batch_idx)


def validate(
    config: Any, model: Any, hooks: List[Any], work_dir: Any
) -> Dict[str, Any]:
    """The metrics of one validation by the library's own loop."""
    config = copy.deepcopy(config)
    runner = Runner(
        model=model,
        work_dir=str(work_dir),
        val_dataloader=config.val_dataloader,
        val_cfg=config.get("val_cfg") or {},
        val_evaluator=config.val_evaluator,
        custom_hooks=[Seed(), *hooks],
        default_scope=config.default_scope,
        experiment_name=uuid.uuid4().hex,
        log_level="CRITICAL",
    )
    return dict(runner.val())


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize("row", shipped.ALL, ids=lambda row: row.name)
def test_loss_is_that_of_the_oracle(row, data_root, tmp_path):
    pytest.importorskip(row.library)
    config = shipped.config_of(row, data_root)
    model = shipped.build(config)
    expected = oracle.losses(config, model)
    without = validate(config, model, [], tmp_path)
    for strategy in ("auto", "second_forward"):
        hook = {"type": "ValLossHook", "strategy": strategy}
        metrics = validate(config, model, [hook], tmp_path)
        losses = {name: metrics[name] for name in expected}
        assert losses == pytest.approx(expected, rel=1e-5)
        # All that was there before is there as it was.
        assert {name: metrics[name] for name in without} == pytest.approx(
            without, rel=0, abs=0, nan_ok=True
        )
