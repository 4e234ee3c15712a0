"""The whole messages of imports in environments without a usable mmengine.

Each import runs in a cold process. A message names the error and the fix.
"""

from __future__ import annotations

import re
import sys

import pytest
from support.fresh import run_cold

pytestmark = pytest.mark.slow  # asks nothing of mmengine

# Imports the package with a fake mmengine in a folder and a missing module.
COLD = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {missing!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Missing())
sys.path.insert(0, {folder!r})
import valloss_compat
"""
PREFIX = (
    "valloss_compat.errors.UnusableMMEngineError: valloss_compat patches mmengine, "
)


@pytest.mark.parametrize(
    ("mmengine", "missing", "message"),
    [
        pytest.param(
            "",
            "",
            "but importing mmengine.runner failed with ModuleNotFoundError: No module "
            "named 'mmengine.runner'. Fix: reinstall mmengine, as the package of that "
            "name is not OpenMMLab's or not whole",
            id="of another project",
        ),
        pytest.param(
            "import torchvision",
            "torchvision",
            "but importing mmengine.runner failed with ModuleNotFoundError: No module "
            "named 'torchvision'. Fix: install the torchvision that matches your "
            "torch",
            id="without torchvision",
        ),
        pytest.param(
            None,
            "yapf",
            "but importing mmengine.runner failed with ModuleNotFoundError: No module "
            "named 'yapf'. Fix: pip install 'yapf<=0.40.1'",
            id="without yapf",
            marks=pytest.mark.skipif(
                "yapf" not in sys.modules,
                reason="this mmengine (onedl's, measured) imports no yapf",
            ),
        ),
        pytest.param(
            "import pkg_resources",
            "pkg_resources",
            "but importing mmengine.runner failed with ModuleNotFoundError: No module "
            "named 'pkg_resources'. Fix: pip install 'setuptools<81'",
            id="without pkg_resources",
        ),
        pytest.param(
            "import its_own_need",
            "its_own_need",
            "but importing mmengine.runner failed with ModuleNotFoundError: No module "
            "named 'its_own_need'. Fix: make `import mmengine.runner` work in this "
            "environment",
            id="without an unknown module",
        ),
        pytest.param(
            "raise AttributeError('np.float_ was removed')",
            "",
            "but importing mmengine.runner failed with AttributeError: np.float_ was "
            "removed. Fix: make `import mmengine.runner` work in this environment",
            id="that fails in another way",
        ),
    ],
)
def test_unusable_mmengine_raises_with_message(tmp_path, mmengine, missing, message):
    """If the text is None, mmengine is the one of the environment."""
    if mmengine is not None:
        (tmp_path / "mmengine").mkdir()
        (tmp_path / "mmengine" / "__init__.py").write_text(mmengine)
    done = run_cold(COLD.format(missing=[missing], folder=str(tmp_path)))
    assert done.returncode == 1
    last = re.sub(r" \([^)]+, line \d+\)", "", done.stderr.splitlines()[-1])
    assert last == PREFIX + message
    assert done.stderr.count("mmengine.runner failed") == 1  # not its cause as well
    assert "The above exception" not in done.stderr


def test_missing_mmengine_raises_with_message():
    done = run_cold("import sys\nsys.modules['mmengine'] = None\nimport valloss_compat")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == PREFIX + (
        "but this environment has no mmengine. Fix: install the release that your "
        "project pins, for example pip install 'mmengine==0.10.4' (or mmengine-lite, "
        "mmengine-open, onedl-mmengine)"
    )
