import random

from attention_surgeon.diagnose.child.inside import Printed
from attention_surgeon.diagnose.child.limits import in_bytes


def printed(text: bytes, piece: int) -> Printed:
    kept = Printed()
    for start in range(0, len(text), piece):
        kept.add(text[start : start + piece])
    return kept


def test_both_ends_stay_whatever_the_pieces_are():
    text = random.Random(7).randbytes(9_973).hex().encode()
    expected = f"{text[:8192].decode()}\n[... {19_946 - 16_384:,} bytes are left out here ...]\n{text[-8192:].decode()}"
    for piece in (1, 8191, 8193, 19_946):
        assert printed(text, piece).text() == expected


def test_what_fits_is_not_cut_and_letters_are_not_torn():
    text = "é" * 8192
    assert printed(text.encode(), 997).text() == text
    assert printed(text.encode() + b"!", 997).text().count("\N{REPLACEMENT CHARACTER}") == 1
    assert printed(b"\xff", 1).text() == "\N{REPLACEMENT CHARACTER}"


def test_bytes_are_said_in_the_largest_unit_that_fits():
    said = {0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 3 * 2**29: "1.5 GiB", 2**29: "512 MiB", 10**19: "8881 PiB"}
    assert {count: in_bytes(count) for count in said} == said
