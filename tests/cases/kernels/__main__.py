"""Write the kernels to a folder, or judge them all in this process and print the figures."""

import argparse
import sys
import time
from pathlib import Path

from tests.cases.kernels import write
from tests.cases.kernels.judge import judge_all


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cases.kernels", description=__doc__)
    parser.add_argument("folder", type=Path, help="where they are written")
    parser.add_argument("--judge", action="store_true", help="judge each of them, and count")
    parser.add_argument("--seed", type=int, default=0, help="another one draws others")
    given = parser.parse_args()
    kernels = write(given.folder, seed=given.seed)
    print(f"{len(kernels)} kernels in {given.folder}")
    if not given.judge:
        return 0
    start = time.process_time()
    found = list(judge_all(kernels, given.folder))
    for kernel, verdict in found:
        if verdict.status != kernel.verdict:
            print(f"{kernel.name}: {verdict.status}, expected {kernel.verdict}. {verdict.reason}")
    for expected in ("wrong", "right"):
        said = [verdict.status for kernel, verdict in found if kernel.verdict == expected]
        counted = ", ".join(f"{said.count(status)} {status}" for status in ("right", "wrong", "unjudged"))
        print(f"of {len(said)} {expected} ones: {counted}")
    print(f"{time.process_time() - start:.0f} CPU seconds")
    return int(any(verdict.status != kernel.verdict for kernel, verdict in found))


if __name__ == "__main__":
    sys.exit(main())
