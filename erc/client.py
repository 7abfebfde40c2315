"""A client of `erc serve` that needs the standard library only, and websockets for live streams.

client = Client("http://127.0.0.1:8000")
client.predict("a.wav", text="정말 좋았어")       # → Prediction, as from erc.load(…).predict

Enters: recordings and transcripts. Leaves: what a recognizer would say, asked over HTTP.
May import: base, recognizer, timeline.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from erc.base import errors
from erc.base.errors import AudioError, ConfigError, ErcError
from erc.base.sources import name_of
from erc.base.space import Space
from erc.recognizer.prediction import Failure, Prediction
from erc.timeline.live import Heard
from erc.timeline.record import TurnFailure

RETRIES = 2  # times that a busy server is asked again
PATIENCE = 10.0  # s; a longer Retry-After is the caller's business
BATCH = 16  # recordings in one request of `predict_many`
Part = tuple[str, str | None, bytes]  # name of the field, file name, content


class ServerError(ErcError):
    """The server did not answer as it should; `status` is that of HTTP, None: it cannot be reached."""

    def __init__(self, message: str, status: int | None = None):
        super().__init__(message)
        self.status = status


class Client:
    """Connections to one server, one a thread, kept open between requests.

    Args:
        url: e.g. http://127.0.0.1:8000, or https://host/prefix behind a proxy.
        api_key: default: $ERC_API_KEY.
        timeout: s to wait for the server.

    Raises:
        ConfigError: not an address.
    """

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 60.0):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"'{url}' is no address of a server; one is http://127.0.0.1:8000")
        self.url, self.timeout = url.rstrip("/"), timeout
        self.api_key = api_key or os.environ.get("ERC_API_KEY")
        self._parts, self._prefix = parts, parts.path.rstrip("/")
        self._local = threading.local()
        self._spaces: dict[str, Space] = {}  # NAME@VERSION of a model → what it answers in

    def predict(
        self,
        audio: Any = None,
        text: str | None = None,
        sampling_rate: int | None = None,
        *,
        top_k: int | None = None,
        sets: float | None = None,
        physiology: Mapping[str, Any] | None = None,
    ) -> Prediction:
        """As `Recognizer.predict`: path, bytes, open file, or samples with their rate.

        Args:
            sets: level of a prediction set, as in `erc.load`.
            physiology: lists of numbers, as `Recognizer.predict` takes them.

        Raises:
            AudioError, ConfigError: what the server says of the input.
            ServerError: anything else.
        """
        parts = [_file("file", audio, sampling_rate)] if audio is not None else []
        fields = {"text": text, "top_k": top_k, "sets": sets}
        body = json.dumps(physiology) if physiology else None
        self._meet()
        return self._prediction(json.loads(self._post("predict", parts, **fields, physiology=body)))

    def explain(self, audio: Any = None, text: str | None = None) -> dict[str, Any]:
        """The answer with its `explanation`: shares of the modalities, moments, words."""
        parts = [_file("file", audio)] if audio is not None else []
        return json.loads(self._post("predict", parts, text=text or None, explain=True))

    def predict_many(self, inputs: Iterable[Any]) -> Iterator[Prediction | Failure]:
        """Recordings, or (recording, text), in order; a bad one gives a `Failure` in its place."""
        source = iter(inputs)
        self._meet()
        while window := [_pair(one) for one in islice(source, BATCH)]:
            parts: list[Part] = []
            failed: dict[int, Failure] = {}
            for i, (audio, text) in enumerate(window):
                try:
                    parts += [_file("file", audio), _field("text", text or "")]
                except AudioError as error:
                    failed[i] = Failure(name_of(audio), str(error))
            results = json.loads(self._post("predict/batch", parts))["results"] if parts else []
            answers = iter(results)
            yield from (failed.get(i) or self._result(next(answers)) for i in range(len(window)))

    def timeline(
        self, audio: Any, transcript: str | Path | None = None, format: str = "json", **options: Any
    ) -> Any:
        """Turns of a long recording.

        Args:
            transcript: a .srt, .vtt or .json file.
            format: "json" gives the dict; "csv", "vtt", "eaf" give text.
            options: vad, max_turn, overlap, smooth.
        """
        parts = [_file("file", audio)]
        if transcript is not None:
            parts.append(_file("transcript", transcript))
        body = self._post("timeline", parts, format=format, **options)
        return json.loads(body) if format == "json" else body.decode("utf-8")

    def live(
        self, chunks: Iterable[bytes | np.ndarray], rate: int = 16_000, **settings: Any
    ) -> Iterator[Heard]:
        """Turns of a stream as they end, and partial answers, while the chunks are still coming.

        Args:
            chunks: mono 16-bit PCM, as bytes or int16; they are taken in a thread of their own.
            rate: of the samples, in Hz.
            settings: speaker, every, max_turn, overlap; see `erc.timeline.live.Live`.

        Raises:
            AudioError, ConfigError: what the server says of the stream.
            ServerError: anything else.
        """
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect

        self._meet()
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        failed: list[BaseException] = []

        def send() -> None:
            try:
                for chunk in chunks:
                    socket.send(bytes(chunk))
                socket.send("end")
            except ConnectionClosed:  # the server has said why
                pass
            except BaseException as error:
                failed.append(error)
                socket.close()

        try:
            with connect(
                "ws" + self.url.removeprefix("http") + "/v1/live", additional_headers=headers,
                open_timeout=self.timeout, proxy=None, max_size=None, compression=None,
            ) as socket:  # fmt: skip
                socket.send(json.dumps({"rate": rate, **settings}))
                threading.Thread(target=send, name="live", daemon=True).start()
                for message in socket:
                    values = json.loads(message)
                    if "error" in values:
                        raise _raised(0, message)
                    if "turn" in values:
                        yield self._heard(values)
        except InvalidStatus as error:
            raise _raised(error.response.status_code, error.response.body) from None
        except (OSError, InvalidHandshake, ConnectionClosed) as error:
            raise ServerError(f"{self.url} cannot be reached: {error}") from None
        if failed:
            raise failed[0]

    def _heard(self, values: dict[str, Any]) -> Heard:
        turn, partial = values["turn"], values["type"] == "partial"
        return Heard(TurnFailure(**turn) if "error" in turn else self._prediction(turn), partial)

    def info(self) -> dict[str, Any]:
        """What the server says of its model and limits."""
        return json.loads(self._ask("GET", "/info"))

    def _prediction(self, values: dict[str, Any]) -> Prediction:
        values.pop("explanation", None)
        return Prediction.from_dict(values, self._space(values.get("model", "")))

    def _result(self, values: dict[str, Any]) -> Prediction | Failure:
        if "error" in values:
            return Failure(values["file"], values["error"]["message"])
        return self._prediction(values)

    def _meet(self, again: bool = False) -> None:
        """Ask what the model behind the server answers in.

        Once, before the first question: a server that stops answers what it has accepted, nothing new.
        """
        if again or not self._spaces:
            facts = self.info()
            self._spaces[facts.get("id", "")] = Space.from_json(facts)

    def _space(self, model: str) -> Space:
        """Of the model that said something; asked again when it is another than before."""
        if model not in self._spaces:
            self._meet(again="" not in self._spaces)  # an earlier version does not say which it is
        return self._spaces.get(model) or next(reversed(self._spaces.values()))

    def _post(self, route: str, parts: list[Part], **fields: Any) -> bytes:
        parts = parts + [_field(k, v) for k, v in fields.items() if v is not None]
        boundary = uuid.uuid4().hex
        kind = f"multipart/form-data; boundary={boundary}"
        return self._ask("POST", f"/v1/{route}", _form(parts, boundary), {"Content-Type": kind})

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        headers = (headers or {}) | {"Accept": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        for left in range(RETRIES, -1, -1):
            status, waiting, answer = self._once(method, self._prefix + path, body, headers)
            if status == 200:
                return answer
            if status not in (429, 503) or not left or waiting > PATIENCE:
                break
            time.sleep(waiting)
        raise _raised(status, answer)

    def _once(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, float, bytes]:
        """Status, Retry-After in s, body. An idle connection that the server closed is opened again."""
        for last in (False, True):
            try:
                connection = self._connection()
                # a server that stopped listening may have said why
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, path, body, headers)
                response = connection.getresponse()
                waiting = response.headers.get("Retry-After", "1")
                seconds = float(waiting) if waiting.isdecimal() else 1.0
                return response.status, seconds, response.read()
            except (OSError, http.client.HTTPException) as error:
                self._local.__dict__.pop("connection").close()
                if last or isinstance(error, TimeoutError):
                    said = str(error) or type(error).__name__
                    raise ServerError(f"{self.url} cannot be reached: {said}") from None
        raise AssertionError("unreachable")

    def _connection(self) -> http.client.HTTPConnection:
        """That of this thread."""
        if not hasattr(self._local, "connection"):
            secure = self._parts.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            host, port = self._parts.hostname or "", self._parts.port
            self._local.connection = kind(host, port, timeout=self.timeout)
        return self._local.connection


def _pair(one: Any) -> tuple[Any, str | None]:
    return one if isinstance(one, tuple) else (one, None)


def _field(name: str, value: Any) -> Part:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return name, None, text.encode("utf-8")


def _file(name: str, source: Any, sampling_rate: int | None = None) -> Part:
    """A recording as it travels: encoded files as they are, samples as a wav of floats."""
    if isinstance(source, str | Path):
        try:
            return name, Path(source).name, Path(source).read_bytes()
        except OSError as error:
            raise AudioError(f"{source}: {error.strerror or error}") from None
    if isinstance(source, bytes | bytearray):
        return name, "<recording>", bytes(source)
    if hasattr(source, "read"):
        return name, Path(name_of(source)).name, source.read()
    if sampling_rate is None:
        raise AudioError("samples need their rate, e.g. predict(x, sampling_rate=16000)")
    import soundfile

    samples, sink = np.asarray(source), io.BytesIO()
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / -float(np.iinfo(samples.dtype).min)
    soundfile.write(sink, samples.astype(np.float32), sampling_rate, "FLOAT", format="WAV")
    return name, "<samples>", sink.getvalue()


def _form(parts: list[Part], boundary: str) -> bytes:
    """multipart/form-data (RFC 7578)."""
    pieces = []
    for name, file, content in parts:
        quoted = (file or "").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        named = f'; filename="{quoted}"' if file is not None else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        pieces += [head.encode("utf-8"), content, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def _raised(status: int, answer: bytes | bytearray | str) -> ErcError:
    """The error in the server's words, of the class that Python would have raised."""
    try:
        error = json.loads(answer)["error"]
        kind, message = error["type"], error["message"]
    except (ValueError, KeyError, TypeError):
        text = answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
        return ServerError(f"HTTP {status}: {text[:200]}", status)
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, ErcError):
        return known(message)
    where = f", HTTP {status}" if status else ""  # a stream that was accepted has no status
    return ServerError(f"{message} ({kind}{where})", status or None)
