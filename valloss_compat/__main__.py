"""``python -m valloss_compat``."""

import sys

from valloss_compat._cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
