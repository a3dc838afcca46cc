"""The server of the operating table, asked over real connections."""

import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention_surgeon.errors import LoadError, OptionError
from attention_surgeon.viewer.live import Limits, Serving, guard, serve
from attention_surgeon.viewer.live.refusal import Refusal
from attention_surgeon.viewer.live.request import read_request
from attention_surgeon.viewer.live.serving import bind
from tests.viewer.bad_requests import BAD_REQUESTS, GOOD, LIMITS, BadRequest, Reply, call, cookie_of, page, send
from tests.viewer.live_table import StandIn, served

pytestmark = pytest.mark.usefixtures("own_messages")


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with served(StandIn(), LIMITS) as running:
        yield running


class Asking(threading.Thread):
    """Sends one request from a thread of its own."""

    def __init__(self, serving: Serving, **fields: object) -> None:
        super().__init__()
        self._content, self._serving = call(serving, **fields), serving
        self.reply = Reply(0, {}, b"")
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        start = time.perf_counter()
        self.reply = send(self._serving, self._content)
        self.seconds = time.perf_counter() - start

    def wait(self) -> Reply:
        self.join(20)
        return self.reply


@pytest.mark.parametrize("row", BAD_REQUESTS, ids=lambda row: row.name)
def test_bad_requests_are_refused_and_the_server_serves_on(serving: Serving, row: BadRequest) -> None:
    reply = send(serving, row.make(serving))
    assert reply.status == row.status
    assert row.sentence in (reply.sentence if reply.body else "")
    assert send(serving, call(serving, page=f"after {row.name}")).status == 200


def test_page_is_served_to_who_has_the_address_and_to_its_cookie(serving: Serving) -> None:
    first = send(serving, page(serving))
    again = send(serving, page(serving, "/?", {"Cookie": cookie_of(serving)}))
    assert (first.status, again.status) == (200, 200)
    assert first.body == again.body
    by_name = page(serving, headers={"Host": f"localhost:{serving.port}"})
    assert send(serving, by_name).status == 200
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "SameSite=Strict" in first.headers["set-cookie"]


def test_page_holds_no_secret_and_runs_only_its_own_program(serving: Serving) -> None:
    reply = send(serving, page(serving))
    secret = cookie_of(serving).partition("=")[2]
    assert len(serving.token) >= 43  # 32 bytes
    assert serving.token.encode() not in reply.body
    assert secret.encode() not in reply.body
    assert secret != serving.token
    policy = reply.headers["content-security-policy"]
    script = re.findall(rb"<script>(.*?)</script>", reply.body, re.DOTALL)
    assert len(script) == 1
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script[0]).digest()).decode()}';" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("which", ["page", "operation", "refusal"])
def test_headers_of_every_answer(serving: Serving, which: str) -> None:
    contents = {"page": page(serving), "operation": call(serving, page=which), "refusal": page(serving, "/?")}
    headers = send(serving, contents[which]).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert "content-security-policy" in headers
    assert not {"server", "access-control-allow-origin"} & set(headers)


def test_secrets_are_compared_in_constant_time(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return given == expected

    monkeypatch.setattr(guard.hmac, "compare_digest", compare)
    send(serving, page(serving, "/?token=a"))
    send(serving, call(serving, headers={"X-Surgeon-Token": "b"}))
    assert {given for given, _ in compared} >= {b"a", b"b"}


def test_other_addresses_of_this_computer_do_not_answer(serving: Serving) -> None:
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", serving.port), timeout=1):  # noqa: PT011
        pass


def test_operation_is_answered_with_maps_receipt_and_predictions(serving: Serving) -> None:
    answer = json.loads(send(serving, call(serving, page="whole")).body)
    assert [side["label"] for side in answer["document"]["sides"]] == ["before", "after"]
    assert answer["receipt"] == ["operated: knock_out", "undone exactly"]
    assert answer["predictions"]["rows"] == [{"label": "cat", "before": 0.25, "after": 0.5}]


def test_page_to_keep_is_the_self_contained_file(serving: Serving) -> None:
    reply = send(serving, call(serving, "/page", page="kept"))
    assert reply.status == 200
    assert reply.headers["content-disposition"] == "attachment"
    assert b"small: knock_out" in reply.body
    assert b"x-surgeon-token" not in reply.body
    assert serving.token.encode() not in reply.body


def test_model_says_what_can_be_chosen(serving: Serving) -> None:
    offer = json.loads(send(serving, call(serving, "/model", page="offer", model="second")).body)
    assert (offer["model"], offer["mostTokens"]) == ("second", 50)


def test_sentence_of_the_table_is_handed_on(serving: Serving) -> None:
    reply = send(serving, call(serving, page="empty", text=""))
    assert (reply.status, reply.sentence) == (422, "the text is empty; type a few words.")


def test_operation_that_fails_says_one_sentence_and_the_server_lives() -> None:
    mistakes: list[BaseException] = []
    with served(StandIn(), LIMITS, mistakes.append) as serving:
        reply = send(serving, call(serving, fault="fails"))
        assert reply.status == 500
        assert reply.sentence == "the operation failed by a mistake of this program: ZeroDivisionError."
        assert [str(mistake) for mistake in mistakes] == ["the table tripped"]
        assert send(serving, call(serving, number=2)).status == 200


def test_one_operation_at_a_time() -> None:
    table = StandIn()
    with served(table, LIMITS) as serving:
        asking = [Asking(serving, page=f"page {i}") for i in range(5)]
        assert [each.wait().status for each in asking] == [200] * 5
    assert table.most_at_once == 1


def test_few_may_wait() -> None:
    with served(StandIn(), Limits(most_waiting=1)) as serving:
        asking = [Asking(serving, page=f"page {i}", fault="slow") for i in range(2)]
        time.sleep(0.4)
        reply = send(serving, call(serving, page="one more"))
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert "1 request waits already" in reply.sentence
        assert [each.wait().status for each in asking] == [200] * 2


def test_newer_request_of_a_page_ends_the_older_one_at_work() -> None:
    with served(StandIn(), LIMITS) as serving:
        older = Asking(serving, number=1, fault="slow")
        time.sleep(0.3)
        newer = Asking(serving, number=2)
        assert (older.wait().status, newer.wait().status) == (409, 200)
        assert older.seconds < 0.9
        assert send(serving, call(serving, number=2)).status == 409  # not newer than the last


def test_newer_request_of_a_page_takes_the_place_of_one_that_waits() -> None:
    table = StandIn()
    with served(table, Limits(most_waiting=1)) as serving:
        other = Asking(serving, page="other", fault="slow")
        time.sleep(0.2)
        older = Asking(serving, number=1, text="older")
        time.sleep(0.2)
        newer = Asking(serving, number=2, text="newer")
        assert older.wait().status == 409
        assert older.seconds < 0.7  # at once, not when the other one is done
        assert (other.wait().status, newer.wait().status) == (200, 200)
    assert "older" not in [request.text for request in table.asked]


@pytest.mark.parametrize("fault", ["slow", "deaf"])
def test_operation_that_takes_too_long_is_given_up(fault: str) -> None:
    table = StandIn()
    with served(table, Limits(operation_seconds=0.2, grace_seconds=0.2)) as serving:
        long = Asking(serving, fault=fault)
        reply = long.wait()
        assert (reply.status, long.seconds < 0.9) == (503, True)
        assert reply.sentence == "this took longer than 0.2 s and was given up; try a shorter text or fewer layers."
        assert send(serving, call(serving, page="next")).status == 200
    assert table.finished == (["deaf", "knock_out"] if fault == "deaf" else ["knock_out"])


def test_connections_that_say_nothing_are_closed_and_keep_nobody_out() -> None:
    with served(StandIn(), Limits(header_seconds=0.5)) as serving:
        open_ones = [socket.create_connection(("127.0.0.1", serving.port), timeout=5) for _ in range(40)]
        for number, connection in enumerate(open_ones):
            connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: "[: number % 26])
        assert send(serving, page(serving)).status == 200
        for connection in open_ones:
            with connection:
                ended = b""
                try:
                    ended = connection.recv(10)
                except ConnectionResetError:
                    pass
                assert ended == b""


def test_stop_ends_what_is_at_work() -> None:
    with served(StandIn()) as serving:
        asking = Asking(serving, fault="slow")
        time.sleep(0.2)
        start = time.perf_counter()
    assert time.perf_counter() - start < 3
    asking.wait()


def test_taken_port_is_a_sentence_with_the_way_out() -> None:
    with bind(0) as taken:
        port = taken.getsockname()[1]
        message = rf"^port {port} is taken by another program; --port \d+ is free, and --port 0 takes any free one\.$"
        with pytest.raises(OptionError, match=message):
            bind(port)


def test_usual_port_gives_way_to_the_next_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with bind(0) as taken:
        monkeypatch.setattr("attention_surgeon.viewer.live.serving.USUAL_PORT", taken.getsockname()[1])
        with bind(None) as other:
            assert other.getsockname()[0] == "127.0.0.1"
            assert other.getsockname()[1] > taken.getsockname()[1]


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attention_surgeon.viewer.live.serving.find_spec", lambda name: None)
    with pytest.raises(LoadError, match=r"needs starlette and uvicorn, .*pip install 'attention-surgeon\[serve\]'"):
        serve(StandIn())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["page", "number", "text", "mask", "heads", "layers", "temperature", "x"]), json_values
    )
)
def test_any_fields_are_read_or_refused(fields: dict[str, object]) -> None:
    try:
        request = read_request(json.dumps(GOOD | fields).encode(), Limits())
    except Refusal:  # any other error would fail the test
        return
    assert 0.01 <= request.temperature <= 100
    assert all(number >= 0 for number in (*(request.heads or ()), *(request.layers or ())))


@given(st.binary(max_size=80))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(Refusal):
        read_request(content, Limits())
