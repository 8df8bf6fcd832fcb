"""`python -m synthbench`."""

import sys

from synthbench.cli import main

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder, which `-m` puts there: no plugins from it, as with the script
    sys.exit(main())
