"""val_loss does not depend on when and how the package is imported."""

from __future__ import annotations

import pytest
from support.fresh import Nursery
from support.import_scripts import REPORT, script

# Spawned workers import what the dataset needs, and nothing of this package.
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
    "after a subclass was created": """
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
        # The registry rejects it, patched or not.
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
        # New classes, which status() reports as unpatched until the next apply().
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
def test_val_loss_does_not_depend_on_the_import_order(
    order: str, nursery: Nursery
) -> None:
    assert nursery.run(script(ORDERS[order]) + REPORT).json()["val_loss"] == 1.5
