"""`python -m synthbench.cli`."""

import sys
from pathlib import Path

from synthbench.cli import main

if __name__ == "__main__":
    sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != Path.cwd()]  # as for the script: no plugins from here
    sys.exit(main())
