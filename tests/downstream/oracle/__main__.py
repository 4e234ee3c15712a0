"""``python -m downstream.oracle``."""

from __future__ import annotations

import sys

from downstream.oracle.run import main

if __name__ == "__main__":
    sys.exit(main())
