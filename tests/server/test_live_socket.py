"""`/v1/live`: streams over a WebSocket, and what strangers and slow clients do to them."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import planted
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from erc.base.arrays import to_int16
from erc.base.audio import SAMPLE_RATE
from erc.base.errors import ConfigError
from erc.client import Client, ServerError
from erc.recognizer.prediction import Prediction
from erc.server.app import create_app
from erc.server.listen import MESSAGE
from erc.server.live import WAITING
from erc.server.settings import Settings
from erc.timeline.averages import vector

pytest.importorskip("silero_vad")
LIVE = "ws://127.0.0.1:8000/v1/live"
SECRET = "비밀이야"
DEADLINE = 60  # s that anything at all may take


@pytest.fixture(scope="module")
def pcm() -> np.ndarray:
    return to_int16(planted.conversation(4)[0])


@pytest.fixture(scope="module")
def expected(recognizer, pcm):
    return recognizer.timeline(pcm, sampling_rate=SAMPLE_RATE)


def told(http, pcm: np.ndarray, size: int = 1600, **options) -> list[dict]:
    """All messages of a stream that is sent in pieces of `size` samples."""
    found = []
    with http.websocket_connect(LIVE) as socket:
        socket.send_json({"rate": SAMPLE_RATE, **options})
        for start in range(0, len(pcm), size):
            socket.send_bytes(pcm[start : start + size].tobytes())
        socket.send_text("end")
        while not found or found[-1]["type"] != "end":
            found.append(socket.receive_json())
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1000
    return found


def failed(socket) -> tuple[str, str, int]:
    """Type, message and close code of a stream that ends with an error."""
    while "error" not in (message := socket.receive_json()):
        pass
    with pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_json()
    return message["error"]["type"], message["error"]["message"], closed.value.code


def same(turns: list[dict], expected) -> None:
    assert [(t["start"], t["end"]) for t in turns] == [(t.start, t.end) for t in expected.turns]
    for turn, want in zip(turns, expected.turns, strict=True):
        one = Prediction.from_dict(turn, expected.space)
        np.testing.assert_allclose(vector(one), vector(want), atol=1e-5)


def turns_of(messages: list[dict], kind: str = "turn") -> list[dict]:
    return [m["turn"] for m in messages if m["type"] == kind]


# --- what it answers -------------------------------------------------------------------------------


def test_the_turns_and_averages_of_the_timeline(http, pcm, expected):
    first, *found, last = told(http, pcm, speaker="Ann")
    assert (first["type"], first["simulated"], first["settings"]["rate"]) == ("ready", True, 16_000)
    assert first["emotions"] == list(expected.space.emotions)
    same(turns_of(found), expected)
    assert {t["speaker"] for t in turns_of(found)} == {"Ann"}
    partial = turns_of(found, "partial")
    assert partial
    starts = {t.start for t in expected.turns}
    assert {p["start"] for p in partial} <= starts
    assert all(p["simulated"] for p in partial)
    assert last["shares"] == pytest.approx(dict(expected.shares()), abs=1e-5)
    assert (last["turns"], last["duration"]) == (4, expected.duration)
    metrics = http.get("/metrics", headers={"host": "127.0.0.1"}).text
    assert re.search(r'erc_requests_total\{route="/v1/live",status="101"\} [1-9]', metrics)
    assert float(re.search(r"^erc_audio_seconds_total (\S+)", metrics, re.M)[1]) >= 10


def test_pieces_of_any_size_and_none(http, pcm, expected):
    same(turns_of(told(http, pcm, len(pcm), every=0)), expected)
    assert not turns_of(told(http, pcm, every=0), "partial")
    assert [m["type"] for m in told(http, pcm[:0])] == ["ready", "end"]


def test_several_at_once_share_batches(recognizer, pcm, expected, monkeypatch):
    sizes, real = [], type(recognizer).answer

    def answer(self, clips):
        if self.answering is None:
            sizes.append(len(clips))
        return real(self, clips)

    monkeypatch.setattr(type(recognizer), "answer", answer)
    app = create_app(recognizer, Settings(batch_wait=200))
    with TestClient(app) as http, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: told(http, pcm, len(pcm)), range(4)))
        assert app.app.state.service.streams == 0
    for one in found:
        same(turns_of(one), expected)
    assert max(sizes) > 4  # more than the turns of one stream


# --- what it refuses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://127.0.0.1:8000"}, 101),
    ],
)
def test_no_page_of_another_site_may_listen(http, headers, status):
    if status == 101:
        with http.websocket_connect(LIVE, headers=headers) as socket:
            socket.send_text("{}")
            assert socket.receive_json()["type"] == "ready"
        return
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        http.websocket_connect(LIVE, headers=headers),
    ):
        pass
    assert refused.value.status_code == status
    assert refused.value.json()["error"]["type"] == "Forbidden"


def test_a_key_is_asked_for_before_anything_is_accepted(recognizer):
    with TestClient(create_app(recognizer, Settings(api_key="right"))) as http:
        for key, kind in ((None, "Unauthorized"), ("wrong", "Unauthorized")):
            headers = {"x-api-key": key} if key else {}
            with (
                pytest.raises(WebSocketDenialResponse) as refused,
                http.websocket_connect(LIVE, headers=headers),
            ):
                pass
            assert refused.value.status_code == 401
            assert refused.value.json()["error"]["type"] == kind
        with http.websocket_connect(LIVE, headers={"authorization": "Bearer right"}) as socket:
            socket.send_text("{}")
            assert socket.receive_json()["type"] == "ready"


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ("no JSON", "not JSON"),
        ("[]", "valid dictionary"),
        ('{"rat": 8000}', "did you mean 'rate'"),
        ('{"rate": 1}', "rate: "),
        ('{"rate": "비밀이야"}', "rate: "),
        ('{"every": 0.01}', "every=0.01"),
        ('{"overlap": 9}', "overlap=9"),
        (b"\0\0", "first message is JSON"),
    ],
)
def test_settings_that_are_wrong(http, message, what):
    with http.websocket_connect(LIVE) as socket:
        socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message)
        kind, said, code = failed(socket)
    assert (kind, code) == ("ConfigError", 1007)
    assert what in said
    assert SECRET not in said


def test_a_model_that_does_not_hear_says_so(pcm):
    with TestClient(create_app(planted.recognizer(modalities=("text",)), Settings())) as http, \
            http.websocket_connect(LIVE) as socket:  # fmt: skip
        socket.send_text("{}")
        assert "text only" in failed(socket)[1]


def test_text_within_sound_is_a_mistake(http):
    with http.websocket_connect(LIVE) as socket:
        socket.send_text("{}")
        socket.send_bytes(bytes(100))
        socket.send_text("stop")
        assert failed(socket)[::2] == ("ConfigError", 1007)


def test_a_stream_has_an_end(recognizer, pcm):
    with TestClient(create_app(recognizer, Settings(max_timeline=1))) as http, \
            http.websocket_connect(LIVE) as socket:  # fmt: skip
        socket.send_text("{}")
        socket.send_bytes(bytes(32_000))
        socket.send_bytes(bytes(2))
        kind, said, code = failed(socket)
    assert (kind, code) == ("TooLarge", 1009)
    assert "1 s at most" in said


@pytest.mark.parametrize("first", [None, "{}"])
def test_who_sends_nothing_is_sent_away(recognizer, first):
    with TestClient(create_app(recognizer, Settings(live_idle=0.05))) as http, \
            http.websocket_connect(LIVE) as socket:  # fmt: skip
        if first:
            socket.send_text(first)
        assert failed(socket)[::2] == ("Idle", 1008)


def test_so_many_streams_and_no_more_and_none_while_stopping(recognizer):
    app = create_app(recognizer, Settings(max_live=1))
    with TestClient(app) as http:
        with http.websocket_connect(LIVE) as socket:
            socket.send_text("{}")
            socket.receive_json()
            with pytest.raises(WebSocketDenialResponse) as refused, http.websocket_connect(LIVE):
                pass
            assert refused.value.status_code == 503
            assert refused.value.headers["retry-after"] == "1"
        assert told(http, np.zeros(10, np.int16))[-1]["turns"] == 0  # who left has made room
        app.app.state.service.stop()
        with pytest.raises(WebSocketDenialResponse) as refused, http.websocket_connect(LIVE):
            pass
        assert "stopping" in refused.value.json()["error"]["message"]


def test_what_nobody_foresaw_ends_one_stream_and_is_not_told(recognizer, pcm, monkeypatch, caplog):
    def answer(*_):
        raise KeyError(SECRET)

    monkeypatch.setattr(type(recognizer), "encode_all", answer)
    with TestClient(create_app(recognizer, Settings())) as http:
        with http.websocket_connect(LIVE) as socket:
            socket.send_text("{}")
            socket.send_bytes(pcm.tobytes())
            kind, said, code = failed(socket)
        assert (kind, code) == ("InternalError", 1011)
        assert SECRET not in said + caplog.text
        monkeypatch.undo()
        assert turns_of(told(http, pcm))


# --- slow ones -------------------------------------------------------------------------------------


class Peer:
    """A client at the level of ASGI, that reads only while `reads` is set."""

    def __init__(self, app, messages: list[dict]):
        self.app, self.messages, self.taken = app, messages, 0
        self.reads, self.sent = asyncio.Event(), []
        self.reads.set()

    async def receive(self) -> dict:
        if self.taken == len(self.messages):
            await asyncio.Event().wait()
        self.taken += 1
        return self.messages[self.taken - 1]

    async def send(self, message: dict) -> None:
        await self.reads.wait()
        self.sent.append(message)
        if '"type": "ready"' in message.get("text", ""):
            self.ready()

    def ready(self) -> None:
        pass

    async def run(self) -> list[dict]:
        scope = {
            "type": "websocket", "path": "/v1/live", "raw_path": b"/v1/live", "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")], "root_path": "", "subprotocols": [],
            "extensions": {"websocket.http.response": {}}, "scheme": "ws",
        }  # fmt: skip
        await self.app(scope, self.receive, self.send)
        return [json.loads(m["text"]) for m in self.sent if "text" in m]


def messages(pcm: np.ndarray, size: int = 1600) -> list[dict]:
    pieces = [pcm[i : i + size].tobytes() for i in range(0, len(pcm), size)]
    return [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "{}"},
        *({"type": "websocket.receive", "bytes": one} for one in pieces),
        {"type": "websocket.receive", "text": "end"},
    ]


def test_who_does_not_read_is_not_read_from_and_holds_up_nobody(recognizer, pcm, expected):
    app = create_app(recognizer, Settings())
    service = app.app.state.service
    long = np.tile(pcm, 8)

    async def both() -> tuple[Peer, list[dict], list[dict]]:
        slow, quick = Peer(app, messages(long)), Peer(app, messages(pcm))
        slow.ready = slow.reads.clear  # it reads nothing more
        waiting = asyncio.create_task(slow.run())
        found = await asyncio.wait_for(quick.run(), DEADLINE)
        while service.streams != 1:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        assert len(slow.sent) == 2  # accepted, ready
        assert slow.taken * 1600 < len(long) / 2
        slow.reads.set()  # it was only slow: all is there
        return slow, found, await asyncio.wait_for(waiting, DEADLINE)

    slow, found, late = asyncio.run(both())
    service.close(1)
    same(turns_of(found), expected)
    assert slow.taken == len(slow.messages)
    assert len(turns_of(late)) == 8 * len(expected.turns)


def test_what_waits_is_bounded(recognizer, pcm, monkeypatch):
    """While nothing is heard, no more is read than a few seconds."""
    go = threading.Event()
    app = create_app(recognizer, Settings())
    service = app.app.state.service
    real = service.live

    def held(options):
        live = real(options)
        feed = live.feed
        monkeypatch.setattr(live, "feed", lambda data: (go.wait(DEADLINE), feed(data))[1])
        return live

    service.live = held

    async def flood() -> int:
        peer = Peer(app, messages(np.tile(pcm, 4)))
        task, before = asyncio.create_task(peer.run()), -1
        while peer.taken != before or peer.taken < 3:
            before = peer.taken
            for _ in range(50):
                await asyncio.sleep(0)
        taken = peer.taken
        go.set()
        await asyncio.wait_for(task, DEADLINE)
        return taken

    taken = asyncio.run(flood())
    service.close(1)
    assert WAITING * SAMPLE_RATE <= 1600 * taken <= 2.5 * WAITING * SAMPLE_RATE


def test_who_never_reads_is_sent_away(recognizer, pcm):
    app = create_app(recognizer, Settings(live_idle=0.05))

    async def stuck() -> None:
        peer = Peer(app, messages(pcm))
        peer.ready = peer.reads.clear
        await asyncio.wait_for(peer.run(), DEADLINE)

    asyncio.run(stuck())
    assert app.app.state.service.streams == 0
    app.app.state.service.close(1)


def test_who_leaves_frees_the_place(recognizer, pcm):
    app = create_app(recognizer, Settings())

    async def leave() -> None:
        gone = {"type": "websocket.disconnect", "code": 1001}
        await Peer(app, [*messages(pcm)[:20], gone]).run()

    asyncio.run(asyncio.wait_for(leave(), DEADLINE))
    assert app.app.state.service.streams == 0
    app.app.state.service.close(1)


def test_after_the_end_nothing_waits_for_an_answer(recognizer):
    app = create_app(recognizer, Settings())
    batcher = app.app.state.service.batcher
    assert app.app.state.service.close(DEADLINE)
    with pytest.raises(Exception, match="stopping"):
        batcher.answer([recognizer.read(planted.speech(0), None, SAMPLE_RATE)])


# --- over a real socket ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(run):
    """A server in a process of its own; → its address."""
    words = ["serve", "--model", str(run / "model"), "--port", "0", "--max-timeline", "60"]
    command = [sys.executable, "-m", "erc", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield re.search(r"http://[^ ]+", server.stdout.readline())[0]
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(DEADLINE) == 0


def test_the_client(served, pcm, expected):
    client = Client(served)
    found = list(client.live(np.array_split(pcm, 100), speaker="Ann"))
    turns = [h.answer for h in found if not h.partial]
    same([t.to_dict() for t in turns], expected)
    assert {t.speaker for t in turns} == {"Ann"}
    assert any(h.partial for h in found)
    long = np.tile(pcm, 8)
    with pytest.raises(ServerError, match="60 s at most"):
        list(client.live(np.array_split(long, 100)))
    with pytest.raises(ConfigError, match="did you mean 'every'"):
        list(client.live([], evry=1))
    with pytest.raises(ServerError, match=r"1009"):
        list(client.live([bytes(2 * MESSAGE)]))

    def broken():
        yield pcm[:1000]
        raise ValueError("the microphone is gone")

    with pytest.raises(ValueError, match="microphone"):
        list(client.live(broken()))
    assert client.predict(planted.speech(0), sampling_rate=SAMPLE_RATE).label


def test_a_socket_outlives_the_time_limit_of_a_head(monkeypatch):
    """Its connection owes nothing that a timer of HTTP could ask for."""
    from erc.server.connections import Connection

    closed = []

    one = Connection.__new__(Connection)
    one._timer = None
    Connection.owed_nothing[one] = None
    monkeypatch.setattr(
        Connection.__mro__[1], "handle_websocket_upgrade", lambda self, *a: closed.append(a)
    )
    monkeypatch.setattr(Connection.__mro__[1], "data_received", lambda self, data: None)
    one.handle_websocket_upgrade()
    one.data_received(b"")
    assert closed == [()]
    assert one._timer is None
    assert one not in Connection.owed_nothing


def test_a_server_that_is_not_there():
    with pytest.raises(ServerError, match="cannot be reached"):
        list(Client("http://127.0.0.1:9", api_key="k").live([]))
