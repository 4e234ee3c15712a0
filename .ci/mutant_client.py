"""Cosmic-ray's test command: asks one server a release; fails as soon as one kills.

mutant_client.py MODULE SOCKET [SOCKET ...]
"""

from __future__ import annotations

import socket
import sys


def survives(module: str, path: str) -> bool:
    """Ask one server."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(module.encode())
        return connection.recv(1) == b"\0"


module, *paths = sys.argv[1:]
sys.exit(not all(survives(module, path) for path in paths))
