"""Requests to `erc serve` as bytes: good ones, and those that mean harm, by kind."""

from __future__ import annotations

import io
import json
import random

import numpy as np
import soundfile

from bench.server import form
from bench.trust.audio import bombs, mutated

GONE = -1  # status of a request whose sender did not wait
REFUSED = {400, 403, 404, 405, 413, 415, 422, 503}
TEXTS = ("오늘 기분이 정말 좋아", "비가 와서 슬퍼", "화가 났어", "아 깜짝이야")
Requests = dict[str, list[bytes]]


def post(path: str, kind: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A whole request; `length` is what it claims to be."""
    size = len(body) if length is None else length
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", *headers]
    return "\r\n".join([*head, f"Content-Length: {size}", "", ""]).encode() + body


def json_post(body: bytes, *headers: str, batch: bool = True) -> bytes:
    """JSON, to the route of many or of one."""
    return post("/v1/predict" + "/batch" * batch, "application/json", body, *headers)


def wav(samples: np.ndarray) -> bytes:
    """16-bit WAV at 16 kHz."""
    sink = io.BytesIO()
    soundfile.write(sink, samples, 16_000, format="WAV")
    return sink.getvalue()


def good_requests(seed: int, items: int = 0) -> list[bytes]:
    """Transcripts, recordings of 0.5 to 2 s, and both; with `items`, so many transcripts each."""
    draw, noise = random.Random(seed), np.random.default_rng(seed)
    if items:
        rows = [{"text": draw.choice(TEXTS)} for _ in range(items)]
        return [json_post(json.dumps(rows).encode())]
    found = []
    for number in range(48):
        samples = noise.normal(0, 0.1, draw.randint(8000, 32_000))
        recording = wav(samples) if number % 3 else None
        text = draw.choice(TEXTS) if number % 3 != 1 else ""
        found.append(form(recording, text))
    return found


def hostile_requests(seed: int) -> Requests:
    """Kind → requests of it."""
    large = bombs()  # of which `mutated` has them first
    broken = [form(data, "") for _, data in list(mutated(60, seed))[len(large) :]]
    text = b'{"text": "a"}'
    whole = good_requests(seed)[1]
    return {
        "a mutated recording": broken,
        "a recording that claims too much": [form(data, "") for data in large.values()],
        "what is not JSON": [json_post(b'{"text": '), json_post(b"\xff" * 1000), json_post(b"")],
        "deep JSON": [json_post(b"[" * 100_000 + b"]" * 100_000)],
        "a flood of items": [json_post(b"[" + b"{}," * 100_000 + b"{}]")],
        "a flood of numbers": [
            json_post(b'[{"physiology": {"eda": [' + b"1," * 900_000 + b"1]}}]")
        ],
        "a body too large": [post("/v1/predict", "application/json", b"", length=10**9)],
        "another site": [json_post(text, "Origin: https://evil.example", batch=False)],
        "another host": [json_post(text, batch=False).replace(b"localhost", b"evil.example", 1)],
        "no such path": [post("/v1/../../etc/passwd", "text/plain", b"x")],
        "no such type": [post("/v1/predict", "text/xml", b"<a/>")],
        "a form without an end": [post("/v1/predict", "multipart/form-data; boundary=B", b"--B")],
        "a form of another boundary": [whole.replace(b"boundary=B", b"boundary=C", 1)],
        "half a head, then gone": [b"POST /v1/predict HTTP/1.1\r\nHost: lo"],
        "half a body, then gone": [whole[: len(whole) // 2]],
        "a whole request, then gone": [whole],
    }


def expected(kind: str, status: int) -> bool:
    """Whether a hostile request of a kind may be answered so."""
    if kind.endswith("then gone"):
        return status == GONE
    # a mutated recording may still be one, and a batch answers 200 with an error for each item
    return status in REFUSED or (
        status == 200 and kind.startswith(("a mutated", "a flood", "a rec"))
    )
