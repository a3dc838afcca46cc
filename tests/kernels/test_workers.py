"""Workers: what fails in one surfaces, what belongs to the caller stays as it was, and no thread is left."""

import threading
import time
from collections.abc import Callable

import pytest
import torch

from attention_surgeon.kernels import tiled_attention, workers
from attention_surgeon.kernels.workers import run_in_workers, workers_for

pytestmark = pytest.mark.usefixtures("pytorch_alone")


def test_every_item_is_worked_on_once() -> None:
    done: list[int] = []
    queue = iter(range(100))
    run_in_workers(lambda worker, item: done.append(item), [queue] * 3)
    assert sorted(done) == list(range(100))


def test_each_worker_works_on_its_own_share() -> None:
    done: set[tuple[int, str]] = set()
    run_in_workers(lambda worker, item: done.add((worker, item)), [["a"], ["b", "c"]])
    assert done == {(0, "a"), (1, "b"), (1, "c")}


def test_one_share_is_worked_on_by_the_caller() -> None:
    threads: list[threading.Thread] = []
    run_in_workers(lambda worker, item: threads.append(threading.current_thread()), [[1]])
    assert threads == [threading.current_thread()]


def test_a_worker_uses_one_thread_and_the_caller_as_many_as_before() -> None:
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(3)
    try:
        run_in_workers(lambda worker, item: seen.append(torch.get_num_threads()), [[1], [2]])
        assert seen == [1, 1]
        assert torch.get_num_threads() == 3
        fresh: list[int] = []
        later = threading.Thread(target=lambda: fresh.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert fresh == [3]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("failure", [ZeroDivisionError("in a worker"), KeyboardInterrupt()])
def test_what_fails_in_a_worker_is_raised_and_ends_the_others(failure: BaseException) -> None:
    done: list[int] = []

    def work(worker: int, item: int) -> None:
        if worker == 1:
            raise failure
        time.sleep(0.001)
        done.append(item)

    before = threading.active_count()
    with pytest.raises(type(failure)):
        run_in_workers(work, [range(3000), [1]])
    assert threading.active_count() == before
    assert len(done) < 3000


def test_ctrl_c_while_waiting_ends_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "wait", interrupted)
    done: list[int] = []

    def work(worker: int, item: int) -> None:
        time.sleep(0.001)
        done.append(item)

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run_in_workers(work, [range(3000), range(3000)])
    assert threading.active_count() == before
    assert len(done) < 6000


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_a_worker_is_in_the_mode_of_the_caller(mode: Callable[[], torch.inference_mode]) -> None:
    seen: list[tuple[bool, bool]] = []
    with mode():
        expected = (torch.is_inference_mode_enabled(), False)
        run_in_workers(
            lambda worker, item: seen.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled())), [[1], [2]]
        )
    assert seen == [expected, expected]


@pytest.mark.parametrize(
    ("device", "num_cells", "threads", "expected"),
    [("cpu", 0, 3, 3), ("cpu", -1, 3, 1), ("meta", 0, 3, 1), ("cpu", 0, 1, 1)],
)
def test_as_many_workers_as_torch_has_threads(device: str, num_cells: int, threads: int, expected: int) -> None:
    """`num_cells` counts from the least that are worth it. The caller waits with one thread, or works with all."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with workers_for(torch.device(device), workers.LEAST_CELLS + num_cells) as number:
            assert number == expected
            assert torch.get_num_threads() == (1 if number > 1 else threads)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_attention_inside_a_worker_starts_no_workers() -> None:
    x = torch.ones(1, 2, 3)
    outputs: list[torch.Tensor] = []
    run_in_workers(lambda worker, item: outputs.append(tiled_attention(x, x, x)), [[1], [2]])
    assert all(torch.equal(output, x) for output in outputs)
