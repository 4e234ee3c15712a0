"""Sphinx: the site of this folder, without a network, torch or mmengine.

Pages that follow from tables (a page for each library, the costs of recording) are
written into `libraries/` and `_generated/` before the build.
"""

from __future__ import annotations

import inspect
import os
import runpy
import sys
from pathlib import Path
from typing import Any, Optional, Tuple

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

# The API reference imports the package from the tree. Nothing is to be patched.
sys.path[:0] = [str(ROOT), str(DOCS)]
os.environ["VALLOSS_COMPAT"] = "off"

import generated  # noqa: E402

generated.write(DOCS)

project = "valloss_compat"
author = "The valloss_compat authors"
copyright = f"2026, {author}"
release = runpy.run_path(str(ROOT / "valloss_compat" / "_version.py"))["__version__"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_generated"]
nitpicky = False

autodoc_mock_imports = ["mmengine", "numpy", "torch"]
napoleon_use_ivar = True
autodoc_typehints = "none"  # the docstrings have the types
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"valloss_compat {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
# Their columns do not fit a phone, and the search finds all of it.
html_use_index = html_domain_indices = False


def _signature(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str, result: str
) -> Optional[Tuple[str, str]]:
    """Show the arguments of a class with a mocked base, which hides them."""
    if what != "class" or "__init__" not in vars(obj):
        return None
    _, *arguments = inspect.signature(obj.__init__).parameters.values()
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in arguments]
    return str(inspect.Signature(plain)), ""


def _pictures(app: Any, page: Any) -> None:
    """Show the dark one of two pictures on a dark page."""
    for light in list(page.findall(lambda node: node.tagname == "image")):
        path = Path(light["uri"])
        dark = path.with_name(f"{path.stem}-dark{path.suffix}")
        if (Path(app.env.doc2path(app.env.docname)).parent / dark).exists():
            light["width"] = "100%"  # then Sphinx links it to the file, to zoom
            other = light.deepcopy()
            other["uri"] = dark.as_posix()
            light["classes"].append("only-light")
            other["classes"].append("only-dark")
            light.parent.insert(light.parent.index(light) + 1, other)


def setup(app: Any) -> None:
    """Register the functions above."""
    app.connect("autodoc-process-signature", _signature)
    # Before Sphinx collects the pictures of a page.
    app.connect("doctree-read", _pictures, priority=400)
