"""``valloss-compat``, the script that pip makes: commands patch when they choose."""

from __future__ import annotations

import pytest

from cli.processes import write

MAIN = """
import sys
sys.argv[:] = {argv!r}
from valloss_compat._cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("script", "mode"),
    [
        ("/bin/valloss-compat", "off"),
        ("/Scripts/valloss-compat.exe", "off"),
        ("/valloss-compat/train.py", "default"),
    ],
)
def test_import_patches_unless_it_is_by_the_console_script(nursery, script, mode):
    code = f"import sys; sys.argv[:] = [{script!r}]\nimport valloss_compat\n"
    done = nursery.run(f"{code}print(valloss_compat.status().mode)")
    assert done.stdout == f"{mode}\n", done.stderr


def test_run_by_console_script_patches_for_the_script(nursery, tmp_path):
    text = "import sys, valloss_compat\nprint(sys.argv, valloss_compat.status().mode)"
    probe = str(write(tmp_path, text))
    argv = ["/bin/valloss-compat", "run", probe, "a"]
    done = nursery.run(MAIN.format(argv=argv))
    assert done.stdout == f"{[probe, 'a']} default\n", done.stderr


def test_console_script_finds_modules_of_the_current_folder(nursery, tmp_path):
    """As ``python -m`` does, and without the folder of the script itself."""
    write(tmp_path, "print(__name__)", "mine.py")
    main = MAIN.format(argv=["/bin/valloss-compat", "run", "-m", "mine"])
    before = f"import os, sys; os.chdir({str(tmp_path)!r}); sys.path[:0] = ['/bin']"
    done = nursery.run(f"{before}\n{main}")
    assert done.stdout == "__main__\n", done.stderr
