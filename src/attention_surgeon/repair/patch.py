"""A patch as a reviewer reads it, and how it is written into a file."""

import ast
import difflib
import hashlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from attention_surgeon.errors import FileAccessError
from attention_surgeon.files import file_access_error, write_file


def unified_diff(before: str, after: str, name: str) -> str:
    """Return the unified diff of two texts of a file, with three lines around each change.

    >>> print(unified_diff("a = 1\\nb = 2\\n", "a = 1\\nb = 3\\n", "x.py"), end="")
    --- a/x.py
    +++ b/x.py
    @@ -1,2 +1,2 @@
     a = 1
    -b = 2
    +b = 3
    """
    lines = difflib.unified_diff(_lines(before), _lines(after), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def size_of(before: str, after: str) -> tuple[int, int]:
    """Return how many lines a reviewer has to read (of each changed place the longer side), and characters in them.

    >>> size_of("a\\nb\\nc\\n", "a\\nB\\nc\\nd\\n")
    (2, 4)
    """
    ours, theirs = _lines(before), _lines(after)
    lines = characters = 0
    for kind, i1, i2, j1, j2 in difflib.SequenceMatcher(a=ours, b=theirs, autojunk=False).get_opcodes():
        if kind != "equal":
            lines += max(i2 - i1, j2 - j1)
            characters += _characters("".join(ours[i1:i2]), "".join(theirs[j1:j2]))
    return lines, characters


def _characters(before: str, after: str) -> int:
    """Return how many characters go and come."""
    same = sum(block.size for block in difflib.SequenceMatcher(a=before, b=after, autojunk=False).get_matching_blocks())
    return len(before) + len(after) - 2 * same


def changed_lines(before: str, after: str) -> tuple[int, ...]:
    """Return the lines of the first text that a patch changes; of one put in between, the line it stands before.

    >>> changed_lines("a\\nb\\nc\\n", "a\\nB\\nc\\n")
    (2,)
    """
    changes = difflib.SequenceMatcher(a=_lines(before), b=_lines(after), autojunk=False).get_opcodes()
    return tuple(
        line for kind, i1, i2, _, _ in changes if kind != "equal" for line in range(i1 + 1, max(i2, i1 + 1) + 1)
    )


def lost_words(before: str, after: str) -> frozenset[str]:
    """Return the parameters, layers and variables that the first text uses and the second one only has.

    What a caller gives and nobody reads any more was not mended but taken out, and so was what is computed and then
    left alone. Numbers that an object holds may go: a scale by the wrong width goes with that width.

    >>> sorted(lost_words("def f(x, p): return drop(x, p)", "def f(x, p): return x"))
    ['f.p']
    >>> sorted(lost_words("class A:\\n def f(self, x): return self.q(x)", "class A:\\n def f(self, x): return x"))
    ['A.q']
    """
    ours, theirs = _used_words(before), _used_words(after)
    return frozenset(f"{owner}.{word}" for owner, words in ours.items() for word in words - theirs.get(owner, words))


_HIDING = ("masked_fill", "masked_fill_", "where", "tril", "triu", "tri")


def num_hidings(text: str) -> int:
    """Return how many calls of a text hide something.

    >>> num_hidings("scores = scores.masked_fill(mask.tril(), -1e9)")
    2
    """
    calls = (one.func for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Call))
    return sum(isinstance(one, ast.Attribute) and one.attr in _HIDING for one in calls)


def num_crossed(text: str) -> int:
    """Return how many queries, keys and values are made by the projection of another one, by their names.

    >>> num_crossed("q, k = self.q_proj(x), self.q_proj(x)")
    1
    """
    made = (pair for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Assign) for pair in _pairs(one))
    roles = ((_role(target.id), _makers(value)) for target, value in made)
    return sum(bool(role and makers) and role not in makers for role, makers in roles)


def _pairs(node: ast.Assign) -> Iterator[tuple[ast.Name, ast.expr]]:
    """Yield each name that is assigned, with its value."""
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = list(zip(target.elts, value.elts, strict=False))
    else:
        pairs = [(target, value)]
    yield from ((one, made) for one, made in pairs if isinstance(one, ast.Name))


def _makers(node: ast.expr) -> set[str]:
    """Return the roles of the projections that are called in an expression."""
    functions = (one.func for one in ast.walk(node) if isinstance(one, ast.Call))
    return {_role(one.attr) for one in functions if isinstance(one, ast.Attribute) and _is_self(one.value)} - {""}


def _role(name: str) -> str:
    """Return `q`, `k` or `v` where a name says it."""
    found = re.search(r"(?:^|_|w)([qkv])(?:$|_)|(q)uer|(k)eys?(?![a-z])|(v)alue", name.lower())
    return "" if found is None else next(filter(None, found.groups()))


def _used_words(text: str) -> dict[str, set[str]]:
    """Return by its name which parameters each function reads, and which attributes of itself each class calls."""
    found: dict[str, set[str]] = {}
    waiting: list[tuple[str, ast.AST]] = [("", ast.parse(text))]
    while waiting:
        place, node = waiting.pop()
        inside = list(ast.walk(node))
        if isinstance(node, ast.ClassDef):
            functions = [one.func for one in inside if isinstance(one, ast.Call)]
            found[place] = {one.attr for one in functions if isinstance(one, ast.Attribute) and _is_self(one.value)}
        elif isinstance(node, ast.FunctionDef):
            given = {one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
            given |= _computed(inside)
            found[place] = {one.id for one in inside if isinstance(one, ast.Name) and _is_read(one)} & given - {"self"}
        below = (one for one in ast.iter_child_nodes(node) if isinstance(one, ast.ClassDef | ast.FunctionDef))
        waiting += [(f"{place}.{one.name}".lstrip("."), one) for one in below]
    return found


def _computed(nodes: list[ast.AST]) -> set[str]:
    """Return the variables that are assigned something else than numbers and sizes."""
    made = (one for one in nodes if isinstance(one, ast.Assign) and not _SIZES.search(ast.unparse(one.value)))
    targets = (each for one in made for target in one.targets for each in ast.walk(target))
    return {one.id for one in targets if isinstance(one, ast.Name)}


_SIZES = re.compile(r"shape|\bsize\(|\blen\(|sqrt|^[\w.\d]+$|\*\*|//")


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def without_needless_parentheses(before: str, after: str) -> str:
    """Return the text after a patch without the parentheses that only the patch needs to be safe, if Python agrees.

    >>> without_needless_parentheses("s = q @ k\\n", "s = (q @ k) / d\\n")
    's = q @ k / d\\n'
    """
    meaning = ast.dump(ast.parse(after))
    place = 0
    while (place := after.find("(", place)) >= 0:
        end = _closing(after, place)
        shorter = after[:place] + after[place + 1 : end] + after[end + 1 :]
        place += 1
        is_call = place > 1 and (after[place - 2].isalnum() or after[place - 2] in "_)]")
        if end < 0 or is_call or "\n" in after[place:end] or size_of(before, shorter) >= size_of(before, after):
            continue
        try:
            if ast.dump(ast.parse(shorter)) == meaning:
                after, place = shorter, place - 1
        except SyntaxError:
            continue
    return after


def _closing(text: str, place: int) -> int:
    depth = 0
    for end in range(place, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return end
    return -1


def apply(path: Path, text: str, sha256: str) -> Path:
    """Write a mended text in the place of a file; the file as it was is kept beside it.

    Args:
        path: The file.
        text: What it should hold.
        sha256: Of the bytes that the patch was made for.

    Returns:
        The copy of the old file: `x.py.orig`, or `x.py.orig.2` where that is taken.

    Raises:
        FileAccessError: the file has changed since it was judged, or cannot be written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise file_access_error("read", path, error) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise FileAccessError(f"cannot write {path}: it has changed since it was judged; run `surgeon fix` again.")
    copy = _keep(path, content)
    write_file(path, _with_line_ends_of(content, text))
    return copy


def _keep(path: Path, content: bytes) -> Path:
    """Copy to the first free name; never over another file, even one that appears this moment."""
    for number in itertools.count(1):
        copy = path.with_name(f"{path.name}.orig" + (f".{number}" if number > 1 else ""))
        try:
            with copy.open("xb") as file:
                file.write(content)
        except FileExistsError:
            continue
        except OSError as error:
            raise file_access_error("write", copy, error) from error
        return copy
    raise AssertionError("there is always a next number")


def _with_line_ends_of(content: bytes, text: str) -> bytes:
    """Return a text in bytes, with the mark and the line ends that the file has."""
    mark = b"\xef\xbb\xbf" if content.startswith(b"\xef\xbb\xbf") else b""
    return mark + (text.replace("\n", "\r\n") if b"\r\n" in content else text).encode()


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
