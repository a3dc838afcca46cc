import sys
from pathlib import Path

from tests.cases.kernels import write

if len(sys.argv) != 2:
    sys.exit("usage: python -m tests.cases.kernels FOLDER")
print(f"{len(write(Path(sys.argv[1])))} kernels in {sys.argv[1]}")
