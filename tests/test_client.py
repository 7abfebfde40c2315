from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from erc.base.errors import AudioError, ConfigError
from erc.base.space import KEMDY, space
from erc.client import Client, ServerError, _file, _form
from erc.recognizer.prediction import Failure, Prediction

ANSWER = {
    "file": "a.wav", "label": "sad", "probabilities": {"sad": 1.0}, "valence": 2.0, "arousal": 1.5,
    "confidence": 1.0, "modalities": ["text"], "abstain": False, "conflict": None,
}  # fmt: skip


OWN = space(["joy", "boredom"], {"valence": [-1, 1], "dominance": [1, 7]})


@pytest.fixture
def stub(info):
    """A server that gives the answers it was told to, and keeps what it was asked to predict."""
    asked, answers = [], []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, dict(self.headers), body, self.client_address))
            status, headers, value = answers.pop(0)
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for key, one in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(key, one)
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            assert self.path.endswith("/info")
            info["asked"] += 1
            data = json.dumps({k: v for k, v in info.items() if k != "asked"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked, answers
    server.shutdown()
    server.server_close()


@pytest.fixture
def info():
    """What GET /info says, and how often it was asked; an older server says less."""
    return {"emotions": list(KEMDY.emotions), "asked": 0}


def error(kind: str, message: str = "why") -> dict:
    return {"error": {"type": kind, "message": message}}


def test_an_answer_becomes_a_prediction_and_the_connection_stays(stub):
    url, asked, answers = stub
    answers += [(200, {}, ANSWER)] * 2
    client = Client(url + "/prefix/", api_key="secret")
    assert client.predict(text="a") == client.predict(text="a")
    assert asked[0][0] == "/prefix/v1/predict"
    assert asked[0][1]["Authorization"] == "Bearer secret"
    assert asked[0][3] == asked[1][3]  # the same port: one connection


def test_values_have_the_scale_of_the_model_that_is_asked_for_once(stub, info):
    url, _, answers = stub
    info |= OWN.to_json() | {"id": "mine@1"}
    shares = {"label": "boredom", "probabilities": {"joy": 0.25, "boredom": 0.75}}
    own = ANSWER | shares | {"valence": -0.5, "dominance": 6.5, "model": "mine@1"}
    del own["arousal"]
    answers += [(200, {}, own), (200, {}, own | {"dominance": None})]
    answers += [(200, {}, ANSWER | {"model": "other@2"})]
    client = Client(url)
    first, second = client.predict(text="a"), client.predict(text="b")
    assert (first.space, first.dimensions) == (OWN, {"valence": -0.5, "dominance": 6.5})
    assert "valence −0.50 of −1 … 1, dominance 6.5 of 1–7" in repr(first)
    assert first.to_dict().items() >= own.items()
    assert (second.dimensions, second.arousal) == ({"valence": -0.5}, None)
    assert info["asked"] == 1
    info |= KEMDY.to_json() | {"id": "other@2"}  # the server was started anew with another model
    assert client.predict(text="c").space == KEMDY
    assert info["asked"] == 2


def test_a_busy_server_is_asked_again_and_then_believed(stub, monkeypatch):
    url, asked, answers = stub
    slept: list[float] = []
    monkeypatch.setattr("erc.client.time.sleep", slept.append)
    busy = (503, {"Retry-After": "3"}, error("Busy"))
    answers += [busy, busy, (200, {}, ANSWER)]
    assert isinstance(Client(url).predict(text="a"), Prediction)
    assert slept == [3.0, 3.0]
    answers += [busy] * 3
    with pytest.raises(ServerError, match=r"why \(Busy, HTTP 503\)") as caught:
        Client(url).predict(text="a")
    assert caught.value.status == 503
    answers += [(503, {"Retry-After": "3600"}, error("Busy"))]
    with pytest.raises(ServerError):
        Client(url).predict(text="a")
    assert len(asked) == 7


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (422, error("AudioError", "a.wav: holds no samples"), AudioError, "holds no samples"),
        (422, error("ConfigError", "there is no 'x'"), ConfigError, "there is no 'x'"),
        (401, error("Unauthorized", "give the API key"), ServerError, "give the API key"),
        (
            422,
            error("one_line_errors"),
            ServerError,
            "why",
        ),  # a name of erc.base.errors, but no error
        (502, b"<html>Bad Gateway", ServerError, "HTTP 502: <html>Bad Gateway"),
        (500, b"[1]", ServerError, "HTTP 500"),
    ],
)
def test_errors_have_the_servers_words(stub, status, body, kind, words):
    url, _, answers = stub
    answers.append((status, {}, body))
    with pytest.raises(kind, match=words):
        Client(url).predict(text="a")


def test_no_server_and_no_address():
    with pytest.raises(ConfigError, match="is no address"):
        Client("localhost:8000")
    with pytest.raises(ServerError, match="cannot be reached"):
        Client("http://127.0.0.1:9", timeout=5).predict(text="a")


def test_a_missing_file_fails_alone_and_places_are_kept(stub, tmp_path):
    url, _, answers = stub
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    answers.append((200, {}, {"results": [ANSWER, {"file": "b", "error": {"message": "bad"}}]}))
    one = tmp_path / "a.wav"
    found = list(Client(url).predict_many([one, tmp_path / "none.wav", (one, "text")]))
    assert [type(f) for f in found] == [Prediction, Failure, Failure]
    assert "none.wav" in found[1].error
    assert found[2] == Failure("b", "bad")
    assert list(Client(url).predict_many([])) == []


def test_samples_travel_exactly():
    import io

    import soundfile

    samples = np.random.default_rng(0).uniform(-1, 1, 800).astype(np.float32)
    found, rate = soundfile.read(io.BytesIO(_file("file", samples, 8000)[2]), dtype="float32")
    assert rate == 8000
    np.testing.assert_array_equal(found, samples)
    pcm, _ = soundfile.read(io.BytesIO(_file("file", np.array([-32768, 16384], "int16"), 8000)[2]))
    assert pcm.tolist() == [-1, 0.5]
    with pytest.raises(AudioError, match="need their rate"):
        _file("file", samples, None)


def test_a_file_name_cannot_break_out_of_the_form():
    form = _form([("file", 'a"\r\nX: y.wav', b"data")], "B")
    assert b'filename="a%22%0D%0AX: y.wav"\r\n\r\ndata\r\n--B--' in form
