"""Submissions that mean harm: each tries one thing beside a right answer, and prints what came of it.

`{...}` are filled in by the tests: `secret` (a file of somebody else), `solution` and `checks` (the course's own),
`elsewhere` (a folder beside), `port` (a server that listens), `grader` (the process that grades).
"""

from typing import NamedTuple

from tests.course.hostile import RIGHT

PRELUDE = """import os, signal, socket, subprocess, sys, time


def attempt(what):
    try:
        print("REACHED", what())
    except Exception as error:
        print("refused", type(error).__name__)


"""


class Malicious(NamedTuple):
    """One of them.

    Attributes:
        name: What it wants.
        tries: Its lines; `attempt` prints `REACHED` or `refused`.
        status: Of the verdict.
        sentence: How the verdict begins to say what happened, where it is not passed.
    """

    name: str
    tries: str
    status: str = "passed"
    sentence: str = ""

    def text(self, **places: object) -> str:
        """Return the whole file."""
        tries = self.tries
        for name, place in places.items():
            tries = tries.replace(f"{{{name}}}", str(place))
        return f"{PRELUDE}{tries}\n\n{RIGHT}"


MALICIOUS: tuple[Malicious, ...] = (
    Malicious("reads somebody's key", "attempt(lambda: open('{secret}').read())"),
    Malicious("reads it through a link", "os.symlink('{secret}', 'notes')\nattempt(lambda: open('notes').read())"),
    Malicious("reads it with another program", "attempt(lambda: subprocess.check_output(['cat', '{secret}']))"),
    Malicious("reads the users of the machine", "attempt(lambda: open('/etc/passwd').read())"),
    Malicious("lists the folder of others", "attempt(lambda: os.listdir('{elsewhere}'))"),
    Malicious("reads the solution", "attempt(lambda: open('{solution}').read())"),
    Malicious("reads the hidden checks", "attempt(lambda: open('{checks}').read())"),
    Malicious("reads a token from the environment", "attempt(lambda: os.environ['TEACHERS_TOKEN'])"),
    Malicious("reads the grader's environment", "attempt(lambda: open('/proc/{grader}/environ').read())"),
    Malicious("reads the grader's command", "attempt(lambda: open('/proc/{grader}/cmdline').read())"),
    Malicious("reads the judge's memory", "attempt(lambda: open(f'/proc/{os.getppid()}/mem', 'rb').read(1))"),
    Malicious("calls home", "attempt(lambda: socket.create_connection(('127.0.0.1', {port}), 1))"),
    Malicious(
        "calls home by UDP",
        "attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port})))",
    ),
    Malicious("opens a port", "attempt(lambda: socket.socket().bind(('127.0.0.1', 0)))"),
    Malicious("writes elsewhere", "attempt(lambda: open('{elsewhere}/mine', 'w'))"),
    Malicious("deletes somebody's file", "attempt(lambda: os.remove('{secret}'))"),
    Malicious("writes into the package", "import torch\nattempt(lambda: open(torch.__file__, 'a'))"),
    Malicious("kills the judge", "attempt(lambda: os.kill(os.getppid(), signal.SIGKILL))"),
    Malicious("kills the grader", "attempt(lambda: os.kill({grader}, signal.SIGKILL))"),
    Malicious(
        "puts something else in the place of torch.softmax",
        "import torch\ntorch.softmax = lambda x, dim: x",
        "stopped",
        "problem.py puts something else in the place of torch.softmax",
    ),
    Malicious(
        "takes all memory",
        "kept = [bytearray(2**28) for _ in range(1000)]",
        "stopped",
        "problem.py ran out of memory at line",
    ),
    Malicious("writes one endless file", "attempt(lambda: [open('big', 'ab').write(bytes(2**24)) for _ in range(99)])"),
    Malicious(
        "writes files without end",
        "for number in range(10**6):\n    open(f'file{number}', 'wb').write(bytes(2**24))",
        "stopped",
        "problem.py was stopped: it had written more than 256 MiB.",
    ),
    Malicious(
        "starts processes without end",
        "attempt(lambda: [subprocess.Popen(['sleep', '60'], start_new_session=True) for _ in range(200)])",
    ),
    Malicious(
        "works for ever",
        "while True:\n    pass",
        "stopped",
        "problem.py was stopped after 1.5 s of processor time at line",
    ),
)


def markdown() -> str:
    """Return a table of all of them for the documentation: `python -m tests.course.malicious`."""
    rows = [f"| {one.name} | {f'stopped: {one.sentence}' if one.sentence else 'refused'} |" for one in MALICIOUS]
    return "\n".join(["| what it tries | what comes of it |", "|---|---|", *rows])


if __name__ == "__main__":
    print(markdown())
