"""What an import of the package does, in new processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List

import pytest
from support.fresh import Nursery, run_cold
from support.import_scripts import REPORT, script
from support.torchrun import needs_torchrun, torchrun


def test_mmengine_is_unpatched_without_the_import(nursery: Nursery) -> None:
    """Old releases report no val_loss: the control of the tests below."""
    control = nursery.run(
        script("assert 'valloss_compat' not in sys.modules")
        + REPORT
        + "assert untouched() and 'valloss_compat' not in sys.modules\n"
    ).json()
    assert control["val_loss"] == (1.5 if control["native"] else None)


def test_off_in_the_environment_leaves_every_target_unchanged(
    nursery: Nursery,
) -> None:
    """The objects are the same, and the status says off."""
    nursery.run(
        script(
            """
            import valloss_compat
            assert untouched()
            assert valloss_compat.status().mode == 'off'
            first = repr(valloss_compat.status()).splitlines()[0]
            assert first.endswith('plan none (VALLOSS_COMPAT=off in the environment)')
            assert valloss_compat.status().patches == []
            assert valloss_compat.apply().mode == 'off'
            print('{}')
            """
        ),
        env={"VALLOSS_COMPAT": "off"},
    ).json()


def test_off_in_the_environment_imports_neither_mmengine_nor_torch() -> None:
    run_cold(
        "import sys, valloss_compat\n"
        "assert not {'torch', 'mmengine'} & set(sys.modules)\nprint('{}')",
        env={"VALLOSS_COMPAT": "off"},
    ).json()


def test_parity_in_the_environment_leaves_native_releases_unchanged(
    nursery: Nursery,
) -> None:
    """Older ones get val_loss."""
    result = nursery.run(
        script("import valloss_compat\nassert untouched(('Registry', 'get')) == NATIVE")
        + REPORT,
        env={"VALLOSS_COMPAT": "parity"},
    ).json()
    assert result["val_loss"] == 1.5


@pytest.mark.parametrize("arguments", [["-c"], ["train.py"], []])
def test_module_that_runpy_runs_is_not_taken_for_a_command(
    nursery: Nursery, arguments: List[str]
) -> None:
    """The import patches mmengine as any other, also in an embedded interpreter."""
    nursery.run(
        script(
            f"""
            import runpy
            sys.argv[:] = {arguments!r}
            runpy.run_module('valloss_compat._version')
            import valloss_compat
            assert valloss_compat.status().active
            print('{{}}')
            """
        )
    ).json()


@pytest.mark.slow
def test_import_before_mmengine() -> None:
    """In a cold process, as the first line of a train script."""
    assert run_cold("import valloss_compat" + script("") + REPORT).json() == {
        "native": pytest.approx(0.5, abs=0.5),
        "val_loss": 1.5,
    }


RANKS = """
import json, os, tempfile
import valloss_compat
import torch.distributed as dist
dist.init_process_group('gloo')
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader
from support.tiny import Digits, collate, element, make_runner, sample
rank, data = dist.get_rank(), Digits(4)
runner = make_runner(
    tempfile.mkdtemp(), lambda _, inputs: [sample(), element(loss=inputs[0].mean())],
    val_dataloader=DataLoader(data, sampler=DefaultSampler(data, shuffle=False),
                              collate_fn=collate))
with open(os.path.join(os.environ['FOLDER'], '%d.json' % rank), 'w') as file:
    json.dump(runner.val(), file)
dist.barrier()
# Skips the normal exit: gloo's threads may abort it (torch 2.15) or hang it (2.4).
os._exit(0)
"""


@needs_torchrun
@pytest.mark.slow
def test_both_processes_of_torchrun_report_the_mean_over_all(tmp_path: Path) -> None:
    """Each imports the package itself."""
    (tmp_path / "script.py").write_text(RANKS)
    launcher = [*torchrun(), "script.py"]
    result = run_cold(
        f"import os, sys\nos.execv(sys.executable, [sys.executable, *{launcher!r}])",
        env={"FOLDER": str(tmp_path)},
        cwd=str(tmp_path),
    )
    assert result.returncode == 0, result.stderr
    for rank in range(2):
        metrics = json.loads((tmp_path / f"{rank}.json").read_text())
        assert metrics == {"n/seen": 4.0, "loss": 1.5, "val_loss": 1.5}
