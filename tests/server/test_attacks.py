"""What strangers may try: pages of other sites, half-sent requests, keys, floods of invalid items."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import resource
import socket
import subprocess
import sys
import time

import numpy as np
import planted
import pytest
import soundfile
from starlette.testclient import TestClient

from erc.base.errors import ConfigError
from erc.server import gate
from erc.server.app import create_app
from erc.server.settings import Settings

HERE = "http://127.0.0.1:8000"
DEADLINE = 60  # s that anything at all may take


def wav(samples, subtype: str = "FLOAT") -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, samples, 16_000, subtype, format="WAV")
    return sink.getvalue()


def error_of(response, status: int) -> str:
    assert response.status_code == status, response.text
    return response.json()["error"]["message"]


# --- pages of other sites --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # no browser
        ({"sec-fetch-site": "same-origin", "origin": HERE}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:3000"}, 403),
        ({"origin": HERE}, 200),  # a browser before 2023
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),  # a sandboxed frame, a file
        ({"host": "evil.example:8000"}, 403),  # its name now points here
        ({"host": "evil.example:8000", "origin": "http://evil.example:8000"}, 403),
        ({"host": "localhost:8000"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"origin": "https://own.example", "x-forwarded-host": "own.example"}, 200),
    ],
)
def test_no_page_of_another_site_may_post(http, headers, status):
    assert http.post("/v1/predict", json={"text": "가"}, headers=headers).status_code == status


def test_a_rebound_name_may_not_read_either(http):
    for path in ("/info", "/metrics", "/openapi.json"):
        assert http.get(path, headers={"host": "evil.example"}).status_code == 403


def test_a_proxy_may_keep_its_name(recognizer):
    app = create_app(recognizer, Settings(allow_hosts="own.example,b.example"))
    with TestClient(app, base_url="http://b.example") as http:
        assert http.get("/info").status_code == 200
        assert http.get("/info", headers={"host": "c.example"}).status_code == 403
    app = create_app(recognizer, Settings(api_key="k", host="0.0.0.0"))
    with TestClient(app, base_url="http://any.example") as http:  # the key protects it
        assert http.get("/info", headers={"x-api-key": "k"}).status_code == 200


# --- keys ------------------------------------------------------------------------------------------


def test_wrong_keys_are_slow_and_few_and_the_right_one_is_neither(recognizer, monkeypatch):
    monkeypatch.setattr(gate, "SLOW", 0.3)
    app = create_app(recognizer, Settings(api_key="right"))

    async def ask(key: str) -> tuple[int, float]:
        sent: list[dict] = []

        async def send(message: dict) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": "/metrics", "query_string": b"",
            "headers": [(b"x-api-key", key.encode())], "root_path": "", "raw_path": b"/metrics",
        }  # fmt: skip
        start = time.monotonic()
        await app(scope, None, send)
        return sent[0]["status"], time.monotonic() - start

    async def attack() -> list[tuple[int, float]]:
        return await asyncio.gather(*(ask("wrong") for _ in range(200)), ask("right"))

    *wrong, right = asyncio.run(attack())
    slow = [seconds for status, seconds in wrong if status == 401]
    assert len(slow) == gate.GUESSES
    assert min(slow) >= 0.3
    assert [status for status, _ in wrong].count(429) == 200 - gate.GUESSES
    assert right[0] == 200
    assert app.guesses == 0


# --- items that are no use -------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1e29, 3e38, np.nan, np.inf])
def test_a_sample_that_is_no_number_spoils_its_own_answer_only(http, recognizer, value):
    good = planted.speech(1)[:16_000]
    bad = good.copy()
    bad[100] = value
    files = [("file", (f"{i}.wav", wav(x))) for i, x in enumerate((good, bad, good))]
    first, second, third = http.post("/v1/predict/batch", files=files).json()["results"]
    assert first["label"] == third["label"] == recognizer.predict(good, None, 16_000).label
    assert first["label"] is not None
    assert second["file"] == "1.wav"
    assert second["error"]["type"] == "AudioError"


def test_an_answer_that_is_no_number_is_an_error_of_its_item(recognizer, monkeypatch):
    real = recognizer.score

    def score(encoded):
        probabilities, va = real(encoded)
        va[-1, 0] = np.nan
        return probabilities, va

    monkeypatch.setattr(recognizer, "score", score)
    with TestClient(create_app(recognizer, Settings(batch_wait=500)), base_url=HERE) as http:
        found = http.post("/v1/predict/batch", json=[{"text": "가"}, {"text": "나"}]).json()
    kinds = [result.get("error", {}).get("type") for result in found["results"]]
    assert sorted(kinds, key=str) == ["AudioError", None]


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"{}," * 300_000 + b"{}]",
        b"[" + b"1," * 9_000_000 + b"1]",
        b"[" + b"[]," * 6_000_000 + b"[]]",
        b'[{"physiology": [' + b"{}," * 6_000_000 + b"{}]}]",
        b"[{" + b",".join(b'"a%d": 1' % i for i in range(300_000)) + b"}]",
        b"[" * 100_000 + b"]" * 100_000,
        b"[" + b'{"txt": "x"},' * 64 + b"{}]",
    ],
    ids=["objects", "numbers", "lists", "physiology", "names", "depth", "items"],
)
def test_a_flood_of_invalid_items_costs_no_time(http, body):
    head = {"content-type": "application/json"}
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    answer = http.post("/v1/predict/batch", content=body, headers=head)
    assert time.process_time() - start < 3
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 400  # MB
    assert len(answer.content) < 20_000
    assert answer.status_code in (413, 422) or "error" in answer.json()["results"][0]


def test_many_files_are_counted_before_they_are_read(http):
    files = [("file", (f"{i}.wav", b"x")) for i in range(65)]
    assert "at most 64" in error_of(http.post("/v1/predict/batch", files=files), 413)


# --- what was said stays with who said it ----------------------------------------------------------

SECRET = "비밀이야 SECRET"


def test_no_error_and_no_log_repeats_a_transcript(http, recognizer, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    good = wav(np.zeros(16_000))
    srt = [("file", ("a.wav", good)), ("transcript", ("a.srt", f"{SECRET} --> x\n".encode()))]
    segments = json.dumps([{"start": SECRET, "end": 2, "text": SECRET}, SECRET])
    answers = [
        http.post("/v1/predict", json={"text": [SECRET]}),
        http.post("/v1/predict", json={SECRET: 1}),
        http.post("/v1/predict", json={"text": SECRET, "top_k": SECRET}),
        http.post("/v1/predict", json={"text": SECRET, "audio": SECRET}),
        http.post("/v1/predict", json={"text": SECRET, "physiology": {"eda": [SECRET]}}),
        http.post("/v1/predict", data={"text": SECRET, "physiology": SECRET}, files={"a": good}),
        http.post("/v1/timeline", files=srt),
        http.post("/v1/timeline", files=srt[:1], data={"segments": segments}),
        http.post("/v1/timeline", files=srt[:1], data={"segments": SECRET, "format": SECRET}),
        http.post("/v1/predict/batch", json=[{"text": {"a": SECRET}}, SECRET, {SECRET: SECRET}]),
    ]

    broken = {"content-type": "multipart/form-data; boundary=C"}
    assert http.post("/v1/predict", content=b"--B\r\n", headers=broken).status_code == 400
    assert "boundary" not in caplog.text  # the library would log a byte of it

    def fail(clips):
        raise KeyError(clips[0].text)

    monkeypatch.setattr(recognizer, "answer", fail)
    answers.append(http.post("/v1/predict", json={"text": SECRET}))
    assert [a.status_code for a in answers] == [422] * 9 + [200, 500]
    for text in (*(a.text for a in answers), caplog.text, http.get("/metrics").text):
        assert "SECRET" not in text
        assert "비밀" not in text
    assert "KeyError" in caplog.text  # but where it went wrong is known


def test_who_leaves_in_the_middle_of_a_form_writes_no_log(recognizer, caplog):
    app, sent = create_app(recognizer, Settings()), []
    coming = [{"type": "http.request", "body": b"--B\r\n", "more_body": True}]

    async def receive() -> dict:
        return coming.pop() if coming else {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        sent.append(message)

    headers = {b"host": b"localhost", b"content-type": b"multipart/form-data; boundary=B"}
    scope = {
        "type": "http", "method": "POST", "path": "/v1/predict", "query_string": b"",
        "headers": [*headers.items()], "root_path": "", "raw_path": b"/v1/predict",
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 499
    assert caplog.text == ""


# --- small things that clients and proxies do ------------------------------------------------------


def test_head_of_health(http):
    answer = http.head("/health")
    assert (answer.status_code, answer.content) == (200, b"")


def test_base64_in_lines_and_as_a_data_url(http, recognizer):
    data = wav(np.random.default_rng(0).uniform(-0.3, 0.3, 16_000), "PCM_16")
    plain = base64.b64encode(data).decode()
    lines = base64.encodebytes(data).decode()
    want = http.post("/v1/predict", json={"audio": plain}).json()
    for audio in (lines, lines.replace("\n", "\r\n"), f"data:audio/wav;base64,{plain}"):
        assert http.post("/v1/predict", json={"audio": audio}).json() == want
    for audio in ("data:audio/wav,abc", plain[:-1] + "!"):
        assert "base64" in error_of(http.post("/v1/predict", json={"audio": audio}), 422)


def test_a_recording_that_is_too_long_is_shown_the_way(http):
    files = {"file": ("a.wav", wav(np.zeros(16_000 * 61), "PCM_16"))}
    assert "/v1/timeline" in error_of(http.post("/v1/predict", files=files), 413)


@pytest.mark.parametrize("cut", [True, False])
def test_below_a_prefix(recognizer, cut):
    """A proxy shows the server at /emotion, whether it takes the prefix off or leaves it."""
    pytest.importorskip("gradio")
    from erc.server.web import mount

    root = "/emotion"
    app = create_app(recognizer, Settings(root_path=root))
    mount(app.app, recognizer, root_path=root, examples=[])
    with TestClient(app, base_url=HERE) as http:
        there = "" if cut else root
        assert http.get(f"{there}/health").status_code == 200
        assert http.post(f"{there}/v1/predict", json={"text": "가"}).status_code == 200
        assert http.get(f"{there}/openapi.json").json()["servers"] == [{"url": root}]
        start = http.get(f"{there}/", follow_redirects=False)
        assert start.headers["location"] == f"{root}/web"
        page = http.get(f"{there}/web/")
        assert page.status_code == 200
        assert http.get(f"{there}/web/config").json()["root"].endswith(f"{root}/web")
        metrics = http.get(f"{there}/metrics").text
        assert 'erc_requests_total{route="/v1/predict",status="200"} 1.0' in metrics


@pytest.mark.parametrize("path", ["emotion", "/emotion/", "/"])
def test_prefixes_that_cannot_be(path):
    with pytest.raises(ConfigError, match="root-path"):
        Settings(root_path=path)


# --- connections -----------------------------------------------------------------------------------

SERVER = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
from erc.server import connections, listen
connections.HEAD_SECONDS = 1.0
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
listen.listen(app, listen.bound("127.0.0.1", 0), lambda url: print(url, flush=True), lifespan="off")
"""


@pytest.fixture(scope="module")
def port():
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as one:
        yield int(one.stdout.readline().rpartition(":")[2])
        one.terminate()
        assert one.wait(DEADLINE) == 0


def opened(port: int, data: bytes) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), DEADLINE)
    one.sendall(data)
    return one


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def answered(one: socket.socket) -> bool:
    data = b""
    while not data.endswith(b"ok") and (more := one.recv(1000)):
        data += more
    return data.startswith(b"HTTP/1.1 200")


def closed(one: socket.socket) -> bool:
    try:
        return one.recv(1000) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("half", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n", GET])
def test_a_head_that_does_not_come_is_not_waited_for(port, half):
    one = opened(port, half)
    if half == GET:  # the second request of a connection
        assert answered(one)
        one.sendall(b"GET / HT")
    start = time.monotonic()
    assert closed(one)
    assert 0.5 < time.monotonic() - start < 20


def test_a_head_that_never_ends_is_not_kept(port):
    one = opened(port, b"GET / HTTP/1.1\r\nHost: a\r\n")
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        one.sendall((b"X: " + b"y" * 4000 + b"\r\n") * 5000)  # 20 MB


def test_hundreds_of_half_sent_requests_keep_nobody_out(port):
    halves = [b"GET / HT", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", GET]
    kept = []
    for i in range(300):  # the server may open 128 files
        kept.append(opened(port, halves[i % 3]))
        if i % 50 == 49:
            one = opened(port, GET)
            assert answered(one)
            one.close()
    for one in kept:
        one.close()


def test_a_connection_that_is_used_stays(port):
    one = opened(port, b"")
    for _ in range(4):  # longer than a head may take, all in all
        one.sendall(GET)
        assert answered(one)
        one.settimeout(0.4)
        with pytest.raises(TimeoutError):
            one.recv(1)
    one.close()
