"""torch's launcher of ranks, by its name in the installed torch."""

from __future__ import annotations

import importlib.util
import socket
import sys
from typing import List

import pytest
import torch
from packaging.version import Version

#: There it crashes after all ranks have ended, whatever they ran.
needs_torchrun = pytest.mark.skipif(
    sys.version_info >= (3, 10) and Version(torch.__version__) < Version("1.12"),
    reason="torchrun of torch before 1.12 dies by a segmentation fault on Python 3.10: "
    "https://github.com/pytorch/pytorch/issues/72086",
)


def torchrun() -> List[str]:
    """Return the arguments between interpreter and script, for two ranks."""
    launcher = ["-m", "torch.distributed.run"]
    if importlib.util.find_spec(launcher[1]) is None:  # new in torch 1.9
        launcher = ["-m", "torch.distributed.launch", "--use_env"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [*launcher, "--nproc_per_node=2", f"--master_port={port}"]
