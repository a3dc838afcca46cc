import os

from attention_surgeon.diagnose.child.limits import Limits
from attention_surgeon.diagnose.child.process import Process
from attention_surgeon.diagnose.child.run import Watch


class Gone(Process):
    """A process that has ended before anybody looked, with something still in its pipe."""

    pid = 0  # pyright: ignore[reportAssignmentType]

    def start(self) -> None:
        self.printed, self.printing = os.pipe()
        os.write(self.printing, b"last words")

    def has_ended(self) -> bool:
        return True

    def wait(self) -> None:
        pass


def test_what_a_dead_child_printed_is_read_even_if_somebody_holds_the_pipe_open():
    process = Gone()
    process.start()
    watch = Watch(process, Limits())
    assert watch.until_the_end() is None
    assert watch.printed.text() == ""
    watch.read_the_rest()
    assert watch.printed.text() == "last words"
    os.close(process.printing)
    watch.read_the_rest()
    assert watch.printed.num_bytes == 10
    process.close()
