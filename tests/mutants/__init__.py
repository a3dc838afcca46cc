"""Bugs that the tests must notice; `make mutants` plants them one at a time."""

from tests.mutants.compiled_bugs import COMPILED_BUGS
from tests.mutants.keeping_bugs import KEEPING_BUGS
from tests.mutants.kernels_bugs import KERNELS_BUGS
from tests.mutants.masks_bugs import MASKS_BUGS
from tests.mutants.nn_bugs import NN_BUGS
from tests.mutants.ops_bugs import OPS_BUGS
from tests.mutants.scan_bugs import SCAN_BUGS
from tests.mutants.serve_bugs import SERVE_BUGS
from tests.mutants.stats_bugs import STATS_BUGS
from tests.mutants.surgery_bugs import SURGERY_BUGS
from tests.mutants.viewer_bugs import VIEWER_BUGS

ALL_BUGS = [
    *OPS_BUGS,
    *MASKS_BUGS,
    *NN_BUGS,
    *KEEPING_BUGS,
    *KERNELS_BUGS,
    *COMPILED_BUGS,
    *SCAN_BUGS,
    *SERVE_BUGS,
    *STATS_BUGS,
    *SURGERY_BUGS,
    *VIEWER_BUGS,
]
