"""One drawn kernel of each slip and each limit, judged without options; `--judge` judges them all."""

import pytest

from tests.cases.kernels import write
from tests.cases.kernels.generate import LIMITS, SLIPS
from tests.cases.kernels.judge import judge_all

pytestmark = pytest.mark.usefixtures("own_messages")  # with the shape checks of the hook it takes ten times as long


def test_no_wrong_one_is_accepted_and_no_right_one_rejected(tmp_path):
    kernels = write(tmp_path, len(SLIPS), len(LIMITS), seed=7)
    found = {kernel.name: verdict.status for kernel, verdict in judge_all(kernels, tmp_path)}
    assert found == {kernel.name: kernel.verdict for kernel in kernels}
