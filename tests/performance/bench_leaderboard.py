"""Times the merge of 200 bundles into an empty leaderboard, and of one more.

Run by hand: `python tests/performance/bench_leaderboard.py [--bundles 200]`.
The bundles are those of the suite of squares: 2 detectors, 5 training sets, 3 replicates, 8 test images. Making them takes a minute.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))


def main() -> None:
    """Prints seconds of wall time and of this process."""
    from boards import fake_bundle, submitted
    from synthbench.publishing.merging import merge

    parser = argparse.ArgumentParser()
    parser.add_argument("--bundles", type=int, default=200)
    count = parser.parse_args().bundles
    with tempfile.TemporaryDirectory() as folder:
        bundles = submitted(fake_bundle(), Path(folder) / "bundles", [f"Person {number}" for number in range(count)])
        for title, given in ((f"{count} bundles", bundles), ("one more", [fake_bundle()])):
            wall, own = time.perf_counter(), time.process_time()
            written = merge(given, Path(folder) / "board").written
            print(f"{title}: {time.perf_counter() - wall:.1f} s, {time.process_time() - own:.1f} s of processor, {written} files written")


if __name__ == "__main__":
    main()
