"""What importing the package does, seen from fresh processes."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from fresh import Nursery, run_cold
from torchrun import needs_torchrun, torchrun

# Each script ends by printing whether val_loss arrives, and its value.
PRELUDE = """
import json, sys, tempfile
import torch
from mmengine.runner import loops
from mmengine.evaluator import Evaluator
NATIVE = hasattr(loops, '_update_losses')
MARK = '__valloss_compat__'
TARGETS = [(owner, name) for owner, names in (
    (loops.ValLoop, ('run', 'run_iter', '__init_subclass__')),
    (loops.TestLoop, ('run', 'run_iter', '__init_subclass__')),
    (Evaluator, ('process', 'evaluate', '__init_subclass__')),
    (loops, ('_update_losses', '_parse_losses')),
) for name in names]
BEFORE = [vars(owner).get(name) for owner, name in TARGETS]

def untouched():
    now = [vars(owner).get(name) for owner, name in TARGETS]
    return all(one is other for one, other in zip(BEFORE, now))

def runner():
    from tiny import element, make_runner, sample
    def respond(index, inputs):
        return [sample(), element(loss=torch.tensor(index + 1.0))]
    return make_runner(tempfile.mkdtemp(), respond)
"""
REPORT = """
print(json.dumps({'native': NATIVE, 'val_loss': runner().val().get('val_loss')}))
"""


def script(body: str) -> str:
    return PRELUDE + textwrap.dedent(body)


def test_the_unpatched_control_is_unpatched(nursery: Nursery) -> None:
    """Without the import mmengine is as released: old ones report no val_loss."""
    control = nursery.run(
        script("assert 'valloss_compat' not in sys.modules")
        + REPORT
        + "assert untouched() and 'valloss_compat' not in sys.modules\n"
    ).json()
    assert control["val_loss"] == (1.5 if control["native"] else None)


def test_off_by_environment_variable_leaves_every_target_as_it_is(
    nursery: Nursery,
) -> None:
    """VALLOSS_COMPAT=off: the very same objects, and status says off."""
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


def test_off_does_not_even_import_mmengine() -> None:
    """VALLOSS_COMPAT=off costs nothing."""
    run_cold(
        "import sys, valloss_compat\n"
        "assert not {'torch', 'mmengine'} & set(sys.modules)\nprint('{}')",
        env={"VALLOSS_COMPAT": "off"},
    ).json()


def test_parity_from_the_environment_patches_only_what_lacks_it(
    nursery: Nursery,
) -> None:
    """Native releases stay untouched, asserted with ``is``; old ones get val_loss."""
    result = nursery.run(
        script("import valloss_compat\nassert untouched() == NATIVE") + REPORT,
        env={"VALLOSS_COMPAT": "parity"},
    ).json()
    assert result["val_loss"] == 1.5


@pytest.mark.slow
def test_import_before_mmengine() -> None:
    """In a cold process, as the first line of a train script."""
    assert run_cold("import valloss_compat" + script("") + REPORT).json() == {
        "native": pytest.approx(0.5, abs=0.5),
        "val_loss": 1.5,
    }


# Workers that are spawned import anew what the dataset needs, and nothing of ours.
WORKERS = """
        from torch.utils.data import DataLoader
        plain = runner
        def runner():
            built = plain()
            data = [{'inputs': torch.tensor([float(i)])} for i in range(2)]
            built._val_dataloader = DataLoader(
                data, num_workers=1, multiprocessing_context=method)
            return built
"""

ORDERS = {
    "after mmengine": "import valloss_compat",
    "twice and reloaded": """
        import importlib
        import valloss_compat
        first = [vars(owner).get(name) for owner, name in TARGETS]
        importlib.reload(valloss_compat)
        import valloss_compat
        valloss_compat.apply()
        assert first == [vars(owner).get(name) for owner, name in TARGETS]
    """,
    "forgotten and imported again": """
        import valloss_compat
        first = [vars(owner).get(name) for owner, name in TARGETS]
        for name in [n for n in sys.modules if n.startswith('valloss_compat')]:
            del sys.modules[name]
        import valloss_compat
        assert first == [vars(owner).get(name) for owner, name in TARGETS]
        again = runner
        valloss_compat.revert()
        assert untouched()
        valloss_compat.apply()
    """,
    "after the runner was built": """
        built = runner()
        loop = built.build_val_loop(built._val_loop)
        built._val_loop = loop
        import valloss_compat
        runner = lambda: built
    """,
    "after a subclass was made": """
        from mmengine.registry import LOOPS
        class Mine(loops.ValLoop):
            def run_iter(self, idx, data_batch):
                with torch.no_grad():
                    outputs = self.runner.model.val_step(data_batch)
                self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        LOOPS.register_module(module=Mine)
        import valloss_compat
        plain = runner
        def runner():
            built = plain()
            built._val_loop = dict(type='Mine', dataloader=built._val_dataloader,
                                   evaluator=built._val_evaluator)
            return built
    """,
    "after from mmengine.runner import ValLoop": """
        from mmengine.runner import ValLoop, TestLoop
        import valloss_compat
        plain = runner
        def runner():
            built = plain()
            built._val_loop = ValLoop(
                built, built._val_dataloader, built._val_evaluator)
            return built
    """,
    "built through the registry": """
        from mmengine.registry import LOOPS
        built = runner()
        import valloss_compat
        built._val_loop = LOOPS.build(dict(
            type='ValLoop', runner=built, dataloader=built._val_dataloader,
            evaluator=built._val_evaluator))
        runner = lambda: built
    """,
    "named in val_cfg": """
        import valloss_compat
        plain = runner
        def runner():
            built = plain()
            built._val_loop = dict(type='ValLoop')
            return built
    """,
    "mmengine's loops reloaded": """
        # The registry does not let it, patched or not; nothing is lost.
        import importlib
        import valloss_compat
        try:
            importlib.reload(loops)
        except KeyError as error:
            assert 'already registered' in str(error)
        else:
            raise AssertionError('mmengine can be reloaded now')
        assert valloss_compat.status().notes == []
    """,
    "mmengine's loops reloaded by force": """
        # New classes: not patched, which status() says, until the next apply().
        import importlib
        from mmengine.registry import LOOPS
        import valloss_compat
        old = loops.ValLoop
        LOOPS._module_dict.clear()
        importlib.reload(loops)
        assert loops.ValLoop is not old
        (note,) = valloss_compat.status().notes
        assert note.startswith('mmengine.runner.loops.ValLoop, mmengine.'), note
        assert 'call valloss_compat.apply()' in note
        assert valloss_compat.apply().notes == []
        assert 'run_iter' in vars(old) and not hasattr(old.run_iter, MARK)
        assert valloss_compat.status().active
        plain = runner
        def runner():
            built = plain()
            built._val_loop = dict(type='ValLoop')
            assert type(built.val_loop) is loops.ValLoop
            return built
    """,
    "in two threads at once": """
        import threading
        start, failed = threading.Barrier(2), []
        def get():
            start.wait()
            try:
                import valloss_compat
                assert valloss_compat.status().active
            except BaseException as error:
                failed.append(error)
        threads = [threading.Thread(target=get) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed, failed
    """,
    "with DataLoader workers that fork": """
        import valloss_compat
        method = 'fork'
    """
    + WORKERS,
    "with DataLoader workers that spawn": """
        import valloss_compat
        method = 'spawn'
    """
    + WORKERS,
    "from custom_imports of a config": """
        from mmengine import Config
        Config(dict(custom_imports=dict(imports=['valloss_compat'])))
        assert 'valloss_compat' not in sys.modules
        path = tempfile.mkdtemp() + '/config.py'
        with open(path, 'w') as file:
            file.write("custom_imports = dict(imports=['valloss_compat'])\\n")
        Config.fromfile(path)
        assert 'valloss_compat' in sys.modules
    """,
}


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(order, marks=pytest.mark.slow) if "spawn" in order else order
        for order in sorted(ORDERS)
    ],
)
def test_independent_of_import_order(order: str, nursery: Nursery) -> None:
    """The same val_loss whenever the package is imported."""
    assert nursery.run(script(ORDERS[order]) + REPORT).json()["val_loss"] == 1.5


RANKS = """
import json, os, tempfile
import valloss_compat
import torch.distributed as dist
dist.init_process_group('gloo')
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader
from tiny import Digits, collate, element, make_runner, sample
rank, data = dist.get_rank(), Digits(4)
runner = make_runner(
    tempfile.mkdtemp(), lambda _, inputs: [sample(), element(loss=inputs[0].mean())],
    val_dataloader=DataLoader(data, sampler=DefaultSampler(data, shuffle=False),
                              collate_fn=collate))
with open(os.path.join(os.environ['FOLDER'], '%d.json' % rank), 'w') as file:
    json.dump(runner.val(), file)
dist.barrier()
# Without an exit: gloo's threads may abort one (torch 2.15), or hang it (2.4).
os._exit(0)
"""


@needs_torchrun
@pytest.mark.slow
def test_torchrun_with_two_processes(tmp_path: Path) -> None:
    """Each imports the package for itself, and both report the mean over all."""
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
