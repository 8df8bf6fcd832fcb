"""`python -m synthbench.cli`."""

import sys

from synthbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
