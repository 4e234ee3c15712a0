"""``python -m downstream.sweep``."""

from __future__ import annotations

import sys

from downstream.sweep.run import main

if __name__ == "__main__":
    sys.exit(main())
