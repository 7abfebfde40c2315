"""What people say to a server, in 1,000 requests: it may stand in no log, metric, error text or file.

python -m bench.trust.markers [--requests 1000] [--seed 0]

Each request carries a marker of its own in a transcript, a field, a key, the bytes of a recording, a
subtitle: wherever people's words can go. Most requests are wrong in some way, for errors are where words
get out. The server runs with all warnings on, its temporary folder is watched.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.trust.forks import small_export
from bench.trust.hostile_requests import json_post, post, wav

KEY = "mark9f3e-the-key"  # of the server: a marker, too
MARK = "mark9f3e"


class Found(NamedTuple):
    """Where markers stood, and what was answered."""

    places: Counter[str]
    statuses: Counter[int]


def requests(seed: int, count: int) -> list[bytes]:
    """Whole requests, a marker in each."""
    draw, noise = random.Random(seed), np.random.default_rng(seed)
    good, bad = wav(noise.normal(0, 0.1, 8000)), b"RIFF\xff\xff\xff\xffWAVEfmt " + b"\0" * 40
    kinds: list[Callable[[str], bytes]] = [
        lambda m: _json({"text": m}),
        lambda m: _json({"text": [m]}),
        lambda m: _json({"text": {"a": m}}),
        lambda m: _json({m: 1}),
        lambda m: _json({"text": m, "top_k": m}),
        lambda m: _json({"text": m, "top_k": 99}),
        lambda m: _json({"text": m, "audio": m}),
        lambda m: _json({"text": m, "explain": m}),
        lambda m: _json({"text": m, "physiology": {"eda": [m]}}),
        lambda m: _json({"text": m, "physiology": {m: [1, 2]}}),
        lambda m: _json({"text": m, "sets": 0.9}),
        lambda m: _json([{"text": {"a": m}}, m, {m: m}], batch=True),
        lambda m: _json([{"text": m}, {"text": m, "audio": "!"}], batch=True),
        lambda m: _json(m),
        lambda m: json_post(f'{{"text": "{m}'.encode(), *AUTH),
        lambda m: json_post(f'{{"text": "{m}"}}'.encode("utf-16"), *AUTH),
        lambda m: _form({"text": m}, good),
        lambda m: _form({"text": m}, bad),
        lambda m: _form({"text": m, m: m}, good),
        lambda m: _form({"text": m, "physiology": m}, good),
        lambda m: _form({"text": m, "top_k": m}, good),
        lambda m: _form({"text": m}, m.encode() * 50),
        lambda m: _form({"text": m}, good, transcript=f"1\n{m} --> x\n{m}\n"),
        lambda m: _form({"segments": json.dumps([{"start": m, "end": 2, "text": m}])}, good, timeline=1),
        lambda m: _form({"segments": m, "format": m}, good, timeline=1),
        lambda m: _form({}, good, transcript=f"1\n{m} --> x\n{m}\n", timeline=1),
        lambda m: _form({}, bad, transcript=f"1\n00:00:00,000 --> 00:00:00,400\n{m}\n", timeline=1),
        lambda m: post("/v1/predict", "text/plain", m.encode(), *AUTH),
        lambda m: post(f"/v1/{m}?text={m}", "application/json", b"{}", *AUTH),
        lambda m: post(f"/v1/predict?sets={m}", "application/json", b'{"text": "a"}', *AUTH),
        lambda m: json_post(b'{"text": "a"}', f"Authorization: Bearer {KEY}", f"Origin: http://{m}"),
    ]  # fmt: skip
    wrong = [json_post(b"{}", f"X-API-Key: {MARK}-{i}") for i in range(5)]  # half a second each
    made = [draw.choice(kinds)(f"{MARK}-비밀-{i}") for i in range(count - len(wrong))]
    return made + wrong


AUTH = (f"X-API-Key: {KEY}",)


def _json(value: object, batch: bool = False) -> bytes:
    return json_post(json.dumps(value, ensure_ascii=False).encode(), *AUTH, batch=batch)


def _form(
    fields: dict[str, str], recording: bytes, transcript: str = "", timeline: int = 0
) -> bytes:
    parts = [(f'name="{k}"', v.encode()) for k, v in fields.items()]
    parts.append(('name="file"; filename="a.wav"', recording))
    if transcript:
        parts.append(('name="transcript"; filename="a.srt"', transcript.encode()))
    body = b"".join(
        f"--B\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    )
    path = "/v1/timeline" if timeline else "/v1/predict"
    return post(path, "multipart/form-data; boundary=B", body + b"--B--\r\n", *AUTH)


def send(port: int, request: bytes) -> tuple[int, bytes]:
    """Status, and all that was answered, head included."""
    import socket

    with socket.create_connection(("127.0.0.1", port), 60) as one:
        one.sendall(request)
        answer = http.client.HTTPResponse(one)
        answer.begin()
        head = "".join(f"{k}: {v}\n" for k, v in answer.getheaders()).encode()
        return answer.status, head + answer.read()


def attack(model: Path, count: int, seed: int, place: Path) -> Found:
    """Send them all; where markers were seen afterwards."""
    temporary = place / "tmp"
    temporary.mkdir()
    log, places, statuses = place / "log", Counter[str](), Counter[int]()
    environment = {"ERC_API_KEY": KEY, "TMPDIR": str(temporary), "PYTHONWARNINGS": "always"}
    words = [sys.executable, "-m", "erc", "serve", "--model", str(model), "--port", "0"]
    with log.open("wb") as sink:
        server = subprocess.Popen(
            words, env=os.environ | environment | {"PYTHONUNBUFFERED": "1"},
            stdout=sink, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            port = _port(log, server)
            for request in requests(seed, count):
                status, answer = send(port, request)
                statuses[status] += 1
                if status != 200 or b'"error"' in answer:
                    places["error text"] += _stands_in(answer)
                places["temporary file"] += any(
                    _stands_in(p.read_bytes()) for p in temporary.rglob("*") if p.is_file()
                )
            ask = f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n\r\n"
            places["metrics"] += _stands_in(send(port, ask.encode())[1])
        finally:
            server.terminate()
            server.wait(60)
    places["log"] += _stands_in(log.read_bytes())
    return Found(places, statuses)


def _port(log: Path, server: subprocess.Popen[bytes]) -> int:
    while b"listening on" not in log.read_bytes():
        assert server.poll() is None, log.read_text()
        time.sleep(0.02)
    return int(log.read_text().partition("listening on http://127.0.0.1:")[2].split()[0])


def _stands_in(data: bytes) -> bool:
    """Also as JSON, an address or Python's repr would write it."""
    text = data.decode("utf-8", "replace")
    return MARK in text or "비밀" in text or "\\ube44" in text or "%EB%B9%84" in text.upper()


def main() -> int:
    """Print where markers stood; 1 if anywhere."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--requests", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = attack(small_export(Path(place)), given.requests, given.seed, Path(place))
    print(
        f"{found.statuses.total()} requests, seed {given.seed}: {dict(sorted(found.statuses.items()))}"
    )
    print(f"markers: {dict(found.places)}")
    return int(found.places.total() > 0)


if __name__ == "__main__":
    sys.exit(main())
