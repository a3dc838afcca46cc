"""Broken and hostile submissions of `basics.attention`, each with what the learner reads.

Where a text ends with `…`, what follows depends on the machine.
"""

from typing import NamedTuple

HEAD = "import torch\n\n\ndef attention(Q, K, V, mask=None):\n"
BODY = """    scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    return torch.softmax(scores, dim=-1) @ V
"""
RIGHT = HEAD + BODY


class Submission(NamedTuple):
    name: str
    text: str
    status: str
    sentence: str = ""
    remark: str = ""
    mistake: str = ""


SUBMISSIONS: tuple[Submission, ...] = (
    Submission(
        "an empty file",
        "",
        "stopped",
        "problem.py has no attention; the file defines no public function and no class (what stands under "
        "`if __name__ ...` is not run).",
    ),
    Submission(
        "a colon is missing",
        RIGHT.replace("mask=None):", "mask=None)"),
        "stopped",
        "problem.py, line 4 (`def attention(Q, K, V, mask=None)`): a colon is missing at the end of this line.",
    ),
    Submission(
        "a bracket is open",
        RIGHT.replace("dim=-1)", "dim=-1"),
        "stopped",
        "problem.py, line 8 (`return torch.softmax(scores, dim=-1 @ V`): the bracket '(' is opened here and never "
        "closed.",
    ),
    Submission(
        "the body is not indented",
        RIGHT.replace("    scores = Q", "scores = Q"),
        "stopped",
        "problem.py, line 5 (`scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5`): expected an indented block "
        "after function definition on line 4; what belongs to it must be indented by four blanks.",
    ),
    Submission(
        "one line too far to the right",
        RIGHT.replace("    return", "      return"),
        "stopped",
        "problem.py, line 8 (`return torch.softmax(scores, dim=-1) @ V`): its indentation fits no line above it; count "
        "the blanks.",
    ),
    Submission(
        "bytes that are no text",
        RIGHT + "# \x00",
        "stopped",
        "problem.py, line 1: there are zero bytes in it; save it as UTF-8 text.",
    ),
    Submission(
        "the name is mistyped",
        RIGHT.replace("def attention", "def atention"),
        "stopped",
        "problem.py has no attention; did you mean atention?",
    ),
    Submission(
        "half of it is left",
        RIGHT.replace("    return", '    raise NotImplementedError("later")\n    return'),
        "unfinished",
        "attention still says `raise NotImplementedError` at line 8.",
    ),
    Submission(
        "a name that nobody defined",
        RIGHT.replace("torch.softmax(scores", "torch.softmax(score"),
        "stopped",
        "problem.py, line 8: NameError: name 'score' is not defined. Did you mean: 'scores'?\n"
        "Nothing is called `score` where this line runs.",
    ),
    Submission(
        "a module that is not installed",
        "import einopps\n" + RIGHT,
        "stopped",
        "problem.py imports einopps at line 1 (`import einopps`), which is not installed here; did you mean "
        "einops (`pip install einops`)?",
    ),
    Submission(
        "it raises while it is loaded",
        RIGHT + "\nprint(1 / 0)\n",
        "stopped",
        "problem.py, line 10: ZeroDivisionError: division by zero",
    ),
    Submission(
        "it asks for input",
        RIGHT + "\nname = input()\n",
        "stopped",
        "problem.py waits for input at line 10 (`name = input()`), and nobody can type here; write the value into the "
        "code.",
    ),
    Submission(
        "an endless loop while it is loaded",
        RIGHT + "\nwhile True:\n    pass\n",
        "stopped",
        "problem.py was stopped after 1.5 s at line 1…",
    ),
    Submission(
        "an endless loop when it is called",
        HEAD + "    while True:\n        pass\n" + BODY,
        "stopped",
        "problem.py was stopped after 1.5 s at line …",
    ),
    Submission(
        "recursion without an end",
        HEAD + "    return attention(Q, K, V, mask)\n",
        "stopped",
        "problem.py, line 5: RecursionError: maximum recursion depth exceeded\n"
        "The function calls itself without an end.",
    ),
    Submission(
        "exit() while it is loaded",
        RIGHT + "\nexit()\n",
        "stopped",
        "problem.py ended the program at line 10 (`exit()`) with exit code 0; take the exit out.",
    ),
    Submission(
        "sys.exit when it is called",
        "import sys\n" + HEAD + "    sys.exit(0)\n" + BODY,
        "stopped",
        "problem.py ended the program at line 6 in attention (`sys.exit(0)`) with exit code 0; take the exit out.",
    ),
    Submission(
        "os._exit",
        "import os\n" + RIGHT + "\nos._exit(0)\n",
        "stopped",
        "problem.py ended the whole program with exit code 0; take out what does it (os._exit, or a library).",
    ),
    Submission(
        "a print flood",
        RIGHT + "\nwhile True:\n    print('x' * 1000)\n",
        "stopped",
        "problem.py was stopped at line 1…",
    ),
    Submission(
        "too much memory",
        RIGHT + "\ntoo_much = bytearray(10**10)\n",
        "stopped",
        "problem.py ran out of memory at line 10 (`too_much = bytearray(10**10)`); 512 MiB are allowed: make the "
        "tensors smaller, or allow more memory.",
    ),
    Submission(
        "a crash in C",
        "import ctypes\n" + RIGHT + "\nctypes.string_at(0)\n",
        "stopped",
        "problem.py crashed at line 11 (`ctypes.string_at(0)`): SIGSEGV, it used memory that is not its own. Python "
        "code alone cannot do this: look for ctypes, or for an extension.",
    ),
    Submission(
        "it forks",
        "import os\nos.fork()\n" + RIGHT,
        "passed",
    ),
    Submission(
        "a process is left running",
        "import subprocess\nsubprocess.Popen(['sleep', '60'])\n" + RIGHT,
        "passed",
        remark="it leaves a process running, which was ended; wait for it, or do without.",
    ),
    Submission(
        "a thread is left running",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='mine').start()\n" + RIGHT,
        "passed",
        remark="it leaves a thread running (mine), which was ended; wait for it with join().",
    ),
    Submission(
        "torch's default dtype is changed",
        "import torch\ntorch.set_default_dtype(torch.float64)\n" + RIGHT,
        "passed",
        remark="it changes torch's default dtype when it is loaded; it was put back for the verdict.",
    ),
    Submission(
        "gradients are switched off in a call",
        HEAD + "    torch.set_grad_enabled(False)\n" + BODY,
        "mistake",
        mistake="cuts_gradient",
    ),
    Submission(
        "the working folder is changed",
        "import os\nos.chdir('/')\n" + RIGHT,
        "passed",
        remark="it changes the working folder to /; open files by their whole path instead.",
    ),
    Submission(
        "torch.softmax is replaced",
        RIGHT + "\ntorch.softmax = lambda x, dim: x\n",
        "stopped",
        "problem.py puts something else in the place of torch.softmax, for everybody, the judge too; write a function "
        "of your own beside it.",
    ),
    Submission(
        "the judge is replaced",
        HEAD + "    return V\n\n\nimport sys\nsys.modules['attention_surgeon.testing.check'].same_numbers = max\n",
        "stopped",
        "problem.py puts something else in the place of attention_surgeon.testing.check.same_numbers, for everybody, "
        "the judge too; write a function of your own beside it.",
    ),
    Submission(
        "the judge is killed",
        "import os\nos.kill(os.getppid(), 9)\n" + RIGHT,
        "stopped",
        "problem.py ended the process that judges it, or the system did for lack of memory; another one was started.",
    ),
    Submission(
        "the package's own attention, imported",
        "from attention_surgeon.ops import attention\n",
        "stopped",
        "attention in problem.py is attention_surgeon.ops.attention's; what is judged must be written in problem.py.",
    ),
    Submission(
        "the package's own attention, called",
        "import attention_surgeon.ops as ops\n" + HEAD + "    return ops.attention(Q, K, V, mask)[0]\n",
        "stopped",
        "problem.py imports attention_surgeon.ops at line 1: that is this package's own attention. What is judged must "
        "be yours; take the import out.",
    ),
    Submission(
        "torch's own attention",
        HEAD + "    return torch.nn.functional.scaled_dot_product_attention(Q, K, V, mask)\n",
        "stopped",
        "attention uses scaled_dot_product_attention at line 5: that is the ready-made one, and here it is to be "
        "built. Use it to compare, outside attention.",
    ),
    Submission(
        "a solution is imported",
        "from solution import attention as theirs\n" + RIGHT,
        "stopped",
        "problem.py imports solution at line 1: that is no work of yours; write it here.",
    ),
)


def markdown() -> str:
    """Return a table of all of them for the documentation: `python -m tests.course.hostile`."""
    rows = [
        f"| {one.name} | {one.status} | {one.sentence or one.remark or (one.mistake and f'`{one.mistake}`')} |"
        for one in SUBMISSIONS
    ]
    return "\n".join(["| the file | verdict | what the learner reads |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(markdown())
