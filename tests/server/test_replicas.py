"""`erc serve --ray`: a request is asked again where a replica dies; the whole where Ray is installed."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from erc.__main__ import main
from erc.recognizer import load
from erc.server import replicas
from erc.server.app import create_app
from erc.server.replicas import Answer, Front, respond
from erc.server.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
no_ray = importlib.util.find_spec("ray") is None
SCOPE = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": "/x",
         "query_string": b"", "headers": [(b"host", b"localhost")], "app": object()}  # fmt: skip


class Gone(Exception):
    """A replica that died."""


def through(front: Front, *pieces: bytes, scope: dict = SCOPE) -> list[dict]:
    """What an ASGI application sends for a request whose body comes in pieces."""
    coming = [{"body": one, "more_body": i < len(pieces) - 1} for i, one in enumerate(pieces)]
    waiting, sent = iter([{"type": "http.request", **one} for one in coming]), []

    async def receive():
        return next(waiting)

    async def send(message):
        sent.append(message)

    asyncio.run(front(scope, receive, send))
    return sent


@pytest.fixture
def asked(monkeypatch):
    """A list of requests that replicas were asked, the first two of which died."""
    monkeypatch.setattr(replicas, "PAUSE", 0.0)
    return []


def dying(asked: list, times: int):
    async def ask(scope, body):
        asked.append((scope, body))
        if len(asked) <= times:
            raise Gone
        return Answer(200, [(b"a", b"b")], b"answer")

    return ask


def test_a_request_is_asked_again_until_a_replica_lives(asked):
    sent = through(Front(dying(asked, 2), Gone, 100), b"bo", b"dy")
    assert [(scope["path"], body) for scope, body in asked] == [("/x", b"body")] * 3
    assert "app" not in asked[0][0]  # what only this process has stays here
    assert (sent[0]["status"], sent[0]["headers"]) == (200, [(b"a", b"b")])
    assert sent[1]["body"] == b"answer"


def test_where_none_lives_the_client_is_told_to_come_back(asked):
    head, body = through(Front(dying(asked, 1000), Gone, 100), b"")
    assert head["status"] == 503
    assert json.loads(body["body"])["error"]["type"] == "Busy"
    assert b"retry-after" in dict(head["headers"])
    assert len(asked) == replicas.TRIES


def test_other_errors_are_not_asked_again(asked):
    async def ask(scope, body):
        asked.append(1)
        raise KeyError

    with pytest.raises(KeyError):
        through(Front(ask, Gone, 100), b"")
    assert asked == [1]


def test_no_more_of_a_body_is_held_than_the_application_refuses(asked):
    through(Front(dying(asked, 0), Gone, 10), *[b"12345678"] * 50)
    assert asked[0][1] == b"1234567812345678"


def test_a_stream_is_turned_away(asked):
    [closed] = through(Front(dying(asked, 0), Gone, 10), scope={"type": "websocket"})
    assert (closed["type"], asked) == ("websocket.close", [])


def test_a_replica_answers_as_the_server(speech_model, many_clips):
    recognizer = load(speech_model, runtime="torch-fp32")
    app = create_app(recognizer, Settings(max_mb=1.0))
    wav = many_clips / "0000.wav"

    def ask(path: str, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
        scope = SCOPE | {"path": path, "headers": [(b"host", b"localhost"), *headers]}
        return asyncio.run(respond(app, scope, body))

    try:
        kind, body = form(wav.read_bytes())
        answer = ask("/v1/predict", body, (b"content-type", kind.encode()))
        assert answer.status == 200, answer.body
        expected = recognizer.predict(wav).probabilities
        assert json.loads(answer.body)["probabilities"] == pytest.approx(expected, abs=1e-5)
        large = ask("/v1/predict", bytes(1_000_001), (b"content-type", kind.encode()))
        assert large.status == 413, large.body
        assert ask("/nowhere", b"").status == 404
    finally:
        app.app.state.service.close(5)


def test_what_it_does_not_take(speech_model, capsys):
    where = ["serve", "--model", str(speech_model), "--ray", "local"]
    for words, said in (
        (["--web"], "leave it out with --ray"),
        (["--replicas", "0"], "--replicas 0"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main([*where, *words])
        assert said in capsys.readouterr().err


def form(wav: bytes) -> tuple[str, bytes]:
    """Content type and body of an upload."""
    head = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    return "multipart/form-data; boundary=x", head + wav + b"\r\n--x--\r\n"


@pytest.mark.slow
@pytest.mark.skipif(no_ray, reason="no ray here: pip install 'erc[scale]'")
def test_a_killed_replica_under_load_loses_no_request(speech_model, many_clips):
    words = ["serve", "--model", speech_model, "--ray", "local", "--cpus", 0.5, "--port", 0,
             "--runtime", "torch-fp32"]  # fmt: skip
    command = [sys.executable, "-m", "erc", *map(str, words)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    kind, body = form((many_clips / "0000.wav").read_bytes())
    killed, found = [], Counter()
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = re.search(r"http://\S+", server.stdout.readline())[0]

            def ask(number: int) -> int:
                if number == 100:
                    below = psutil.Process(server.pid).children(recursive=True)
                    mine = [p for p in below if "ServeReplica:erc:Replica" in "".join(p.cmdline())]
                    mine[0].kill()
                    killed.append(len(mine))
                request = urllib.request.Request(f"{url}/v1/predict", body, {"Content-Type": kind})
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return answer.status

            with ThreadPoolExecutor(16) as clients:
                found.update(clients.map(ask, range(320)))
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    assert (killed, found) == ([2], {200: 320})
