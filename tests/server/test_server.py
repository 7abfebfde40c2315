from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from starlette import testclient

import erc
from erc.base.errors import AudioError, ConfigError
from erc.base.space import KEMDY
from erc.client import Client, ServerError
from erc.recognizer.prediction import Failure
from erc.server.app import create_app
from erc.server.batching import Batcher
from erc.server.decoding import named
from erc.server.metrics import Metrics
from erc.server.problems import Problem
from erc.server.run import about
from erc.server.schemas import Options
from erc.server.settings import Settings
from erc.server.uploads import Item

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60  # s that a server may take to do anything at all


@pytest.fixture(scope="module")
def clips(kemdy19) -> list[Path]:
    return sorted(kemdy19.glob("wav/*/*/*.wav"))[:12]


@pytest.fixture(scope="module")
def app(recognizer, run):
    return create_app(recognizer, Settings(max_seconds=20, max_mb=1), about(run / "model"))


@pytest.fixture(scope="module")
def http(app):
    with TestClient(app) as client:
        yield client


class TestClient(testclient.TestClient):
    """Calls the server by a name of this machine."""

    def __init__(self, app, **options):
        super().__init__(app, base_url="http://127.0.0.1:8000", **options)


class Gated:
    """A recognizer that answers only after `go` is set."""

    def __init__(self, recognizer):
        self.__dict__.update(recognizer.__dict__)
        self.real, self.go, self.sizes = recognizer, threading.Event(), []
        self.busy = threading.Event()

    def read(self, *args, **options):
        return self.real.read(*args, **options)

    def answer(self, clips):
        self.sizes.append(len(clips))
        self.busy.set()
        assert self.go.wait(DEADLINE)
        return self.real.answer(clips)


def files(*paths: Path, name: str = "file") -> list:
    return [(name, (path.name, path.read_bytes())) for path in paths]


def until(condition) -> None:
    """Poll with a deadline."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the deadline passed"
        time.sleep(0.005)


def error_of(response, status: int, kind: str) -> str:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert response.json() == {"error": {"type": kind, "message": error["message"]}}
    return error["message"]


def numbers(values) -> np.ndarray:
    values = values if isinstance(values, dict) else values.to_dict()
    return np.array([*(values["probabilities"][e] for e in KEMDY.emotions), values["valence"],
                     values["arousal"]])  # fmt: skip


# what it answers


def test_the_same_numbers_as_python_by_form_json_and_batch(http, recognizer, clips):
    texts = ["정말 좋았어", None, "싫어"]
    expected = [numbers(recognizer.predict(c, t)) for c, t in zip(clips, texts)]
    for clip, text, want in zip(clips, texts, expected):
        form = http.post("/v1/predict", files=files(clip), data={"text": text} if text else None)
        body = {"audio": base64.b64encode(clip.read_bytes()).decode(), "text": text, "name": "x"}
        as_json = http.post("/v1/predict", json=body)
        assert (form.json()["file"], as_json.json()["file"]) == (clip.name, "x")
        for found in (form, as_json):
            np.testing.assert_allclose(numbers(found.json()), want, atol=1e-5)
    batch = http.post("/v1/predict/batch", files=files(*clips[:3]), data={"text": ["", "", ""]})
    want = [numbers(recognizer.predict(c)) for c in clips[:3]]
    np.testing.assert_allclose([numbers(r) for r in batch.json()["results"]], want, atol=1e-5)


def test_many_at_once_are_answered_in_batches_with_the_same_numbers(recognizer, clips):
    gated = Gated(recognizer)
    with (
        TestClient(create_app(gated, Settings(batch_size=8))) as http,
        ThreadPoolExecutor(12) as pool,
    ):
        jobs = [pool.submit(http.post, "/v1/predict", files=files(clip)) for clip in clips]
        service = http.app.app.state.service
        until(
            lambda: (
                service.batcher.depth == 12
                and service.batcher._ready.qsize() + sum(gated.sizes) == 12
            )
        )
        gated.go.set()
        found = [numbers(job.result().json()) for job in jobs]
        metrics = http.get("/metrics").text
    assert max(gated.sizes) <= 8 < sum(gated.sizes) == 12
    assert len(gated.sizes) <= 4
    want = [numbers(recognizer.predict(clip)) for clip in clips]
    np.testing.assert_allclose(found, want, atol=1e-5)
    assert "erc_batch_size_sum 12.0" in metrics
    assert 'erc_requests_total{route="/v1/predict",status="200"} 12.0' in metrics
    assert "erc_queue_depth 0.0" in metrics
    assert float(re.search(r"^erc_audio_seconds_total (\S+)", metrics, re.M)[1]) > 3


def test_a_bad_item_keeps_its_place(http, clips, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    found = http.post("/v1/predict/batch", files=files(clips[0], bad, clips[1])).json()["results"]
    assert [r["file"] for r in found] == [clips[0].name, "bad.wav", clips[1].name]
    assert found[1]["error"]["type"] == "AudioError"
    found = http.post("/v1/predict/batch", json=[{"text": "가"}, {"txt": "나"}, {"text": "다"}, 3])
    kinds = [r.get("error", {}).get("type") for r in found.json()["results"]]
    assert kinds == [None, "ConfigError", None, "ConfigError"]
    assert "did you mean 'text'" in found.json()["results"][1]["error"]["message"]
    assert http.post("/v1/predict/batch", json=[]).json() == {"results": []}


def test_options(http, recognizer, clips):
    data = {"text": "정말 좋았어", "explain": "true", "top_k": "2"}
    found = http.post("/v1/predict", files=files(clips[0]), data=data).json()
    assert list(found["probabilities"].values()) == sorted(found["probabilities"].values())[::-1]
    assert len(found["probabilities"]) == 2
    want = recognizer.explain(clips[0], "정말 좋았어")
    assert found["explanation"]["shares"] == pytest.approx(want.shares, abs=1e-5)
    assert [w for w, _ in found["explanation"]["words"]] == [w for w, _ in want.words]


def test_timeline_in_every_format(http, recognizer, clips, tmp_path):
    import soundfile

    samples = np.concatenate([soundfile.read(c)[0] for c in clips[:3]])
    soundfile.write(tmp_path / "long.flac", samples, 16000)
    long = files(tmp_path / "long.flac")
    options = {"vad": "none", "max_turn": "2", "overlap": "0"}
    want = recognizer.timeline(tmp_path / "long.flac", vad="none", max_turn=2, overlap=0)
    found = http.post("/v1/timeline", files=long, data=options).json()
    assert found["file"] == "long.flac"
    got = [numbers(t) for t in found["turns"]]
    np.testing.assert_allclose(got, [numbers(t) for t in want.turns], atol=1e-5)
    for kind, begin in (("csv", "file,start,end"), ("vtt", "WEBVTT"), ("eaf", "<?xml")):
        answer = http.post("/v1/timeline", files=long, data=options | {"format": kind})
        assert answer.text.startswith(begin)
    said = {"segments": json.dumps([{"start": 0, "end": 1, "text": "안녕"}]), "vad": "text"}
    [turn] = http.post("/v1/timeline", files=long, data=said).json()["turns"]
    assert (turn["text"], turn["end"]) == ("안녕", 1)
    vtt = b"WEBVTT\n\n00:00.500 --> 00:01.250\n<v Ann>yes\n\n00:01.250 --> 00:02.000\n<v Bob>no\n"
    found = http.post("/v1/timeline", files=[*long, ("transcript", ("a.vtt", vtt))]).json()
    kept = [(t["start"], t["end"], t["speaker"], t["text"]) for t in found["turns"]]
    assert kept == [(0.5, 1.25, "Ann", "yes"), (1.25, 2, "Bob", "no")]
    srt = [("transcript", ("a.srt", b"1\n00:00:00,000 --> 00:00:01,000\nhello\n"))]
    found = http.post("/v1/timeline", files=long + srt, data={"vad": "text"}).json()
    assert found["turns"][0]["text"] == "hello"
    wrong = [("transcript", ("a.doc", b"hello"))]
    assert ".srt" in error_of(http.post("/v1/timeline", files=long + wrong), 422, "ConfigError")


def test_what_is_sent_and_answered_is_what_openapi_says(http, clips):
    schema = http.get("/openapi.json").json()
    assert schema["openapi"].startswith("3.1")

    def check(response, path: str) -> None:
        method = response.request.method.lower()
        entry = schema["paths"][path][method]["responses"][str(response.status_code)]
        one = entry["content"]["application/json"]["schema"] | {"components": schema["components"]}
        validator = jsonschema.validators.validator_for(one, jsonschema.Draft202012Validator)
        validator(one).validate(response.json())

    form = files(clips[0])
    check(http.post("/v1/predict", files=form, data={"explain": "1"}), "/v1/predict")
    check(http.post("/v1/predict", files=form, data={"top_k": "0"}), "/v1/predict")
    check(http.post("/v1/predict", content=b"x"), "/v1/predict")
    check(http.post("/v1/predict/batch", json=[{"text": "가"}, {}]), "/v1/predict/batch")
    said = {"segments": '[{"start": 0, "end": 1, "text": "hm", "speaker": "Ann"}]'}
    check(http.post("/v1/timeline", files=form, data=said), "/v1/timeline")
    check(http.post("/v1/timeline", files=form), "/v1/timeline")
    check(http.post("/v1/timeline", json={}), "/v1/timeline")
    for path in ("/health", "/info"):
        check(http.get(path), path)
    for path, request in ((p, r["post"]) for p, r in schema["paths"].items() if "post" in r):
        assert "multipart/form-data" in request["requestBody"]["content"], path
    item = schema["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]
    jsonschema.validate({"text": "가", "top_k": 3}, item["schema"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"txt": "가"}, item["schema"])
    assert http.get("/").json() == schema


def test_info_says_what_it_is_and_what_it_is_not_for(http):
    info = http.get("/info").json()
    assert info["modalities"] == ["speech", "text"]
    assert info["limits"]["max_seconds"] == 20
    assert "judging people at work" in info["forbidden_use"]
    assert info["licences"]


# what it refuses


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"top_k": "9"}, "top_k"),
        ({"explian": "true"}, "did you mean 'explain'"),
        ({"physiology": "{"}, "physiology"),
        ({"physiology": '{"eda": [1]}'}, "not physiology"),
        ({"text": "가" * 20_001}, "text"),
    ],
)
def test_unknown_and_impossible_options(http, clips, data, words):
    assert words in error_of(
        http.post("/v1/predict", files=files(clips[0]), data=data), 422, "ConfigError"
    )


def test_recordings_that_cannot_be_used(http, clips, recognizer):
    good = clips[0].read_bytes()
    # libsndfile #1118: an INFO entry far longer than the file
    broken = (
        good[:12] + b"LIST" + struct.pack("<I", 24) + b"INFOISFT" + struct.pack("<I", 2**31 - 9)
    )
    for data, words in (
        (b"", "0 bytes|no samples|cannot be decoded"), (b"hello", "not recognised"),
        (good[:30], "cannot be decoded"), (broken + b"x" * 99, "title, artist"),
        (b"caff" + good[4:], "cannot be decoded"), (b"FORM" + good[4:], "not recognised"),
        (good[:60], "ms long|no samples"), (b"fLaC" + b"\0" * 50, "cannot be decoded"),
    ):  # fmt: skip
        answer = http.post("/v1/predict", files=[("file", ("../../etc/x.wav", data))])
        message = error_of(answer, 422, "AudioError")
        assert message.startswith("x.wav: ")
        assert re.search(words, message), message
    with pytest.raises(AudioError) as caught:
        recognizer.read(named(good[:30], "x.wav"))
    answer = http.post("/v1/predict", files=[("file", ("x.wav", good[:30]))])
    assert error_of(answer, 422, "AudioError") == str(caught.value)
    assert http.app.app.state.service.batcher.depth == 0


def test_limits_on_length_and_size(http, tmp_path):
    import soundfile

    soundfile.write(tmp_path / "long.flac", np.zeros(21 * 16000), 16000)
    assert "at most 20 s" in error_of(
        http.post("/v1/predict", files=files(tmp_path / "long.flac")), 413, "TooLarge"
    )
    big = {"content-type": "application/json"}
    assert "1 MB" in error_of(
        http.post("/v1/predict", content=b"x" * 1_000_001, headers=big), 413, "TooLarge"
    )
    read = 0

    def endless():
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 100_000

    error_of(http.post("/v1/predict", content=endless(), headers=big), 413, "TooLarge")
    items = [{"text": "가"}] * 257
    assert "at most 256" in error_of(http.post("/v1/predict/batch", json=items), 413, "TooLarge")
    assert http.app.held == 0


def test_bodies_that_are_neither_form_nor_json(http):
    error_of(http.post("/v1/predict", content=b"a=1"), 415, "ConfigError")
    error_of(http.post("/v1/predict", json=[1]), 422, "ConfigError")
    json_head = {"content-type": "application/json"}
    error_of(http.post("/v1/predict/batch", content=b"{", headers=json_head), 422, "ConfigError")
    form_head = {"content-type": "multipart/form-data; boundary=x"}
    error_of(http.post("/v1/predict", content=b"--y\r\n", headers=form_head), 400, "BadRequest")
    no_boundary = {"content-type": "multipart/form-data"}
    error_of(http.post("/v1/predict", content=b"x", headers=no_boundary), 400, "BadRequest")
    assert "nothing to predict" in error_of(http.post("/v1/predict", json={}), 422, "ConfigError")
    error_of(http.post("/v1/predict", files=[("file", (None, "a.wav"))]), 422, "ConfigError")
    error_of(http.get("/v1/predict"), 405, "MethodNotAllowed")
    error_of(http.get("/nothing"), 404, "NotFound")


def test_a_full_queue_says_when_to_come_back(recognizer):
    gated = Gated(recognizer)
    app = create_app(gated, Settings(queue=2, batch_wait=0))
    with TestClient(app) as http, ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(http.post, "/v1/predict", json={"text": "가"}) for _ in range(2)]
        until(lambda: app.app.state.service.batcher.depth == 2)
        full = http.post("/v1/predict", json={"text": "나"})
        assert "waiting" in error_of(full, 503, "Busy")
        assert full.headers["retry-after"] == "1"
        gated.go.set()
        assert [job.result().status_code for job in jobs] == [200, 200]
        assert http.post("/v1/predict", json={"text": "나"}).status_code == 200


def test_the_time_limit(recognizer):
    gated = Gated(recognizer)
    app = create_app(gated, Settings(timeout=0.2, batch_wait=0))
    with TestClient(app) as http:
        answer = http.post("/v1/predict", json={"text": "가"})
        assert "0.2 s" in error_of(answer, 504, "Timeout")
        assert app.app.state.service.batcher.depth == 0  # its work is dropped
        gated.go.set()
        assert 'status="504"} 1.0' in http.get("/metrics").text


def test_the_key(recognizer):
    with TestClient(create_app(recognizer, Settings(api_key="s3cret", host="0.0.0.0"))) as http:
        assert http.get("/health").status_code == 200
        refused = http.get("/info")
        error_of(refused, 401, "Unauthorized")
        assert refused.headers["www-authenticate"] == 'Basic realm="erc"'  # browsers ask for it
        basic = base64.b64encode(b"me:s3cret").decode()
        key = b"s3cret"
        for headers in (
            {b"authorization": b"Bearer " + key}, {b"x-api-key": key},
            {b"authorization": b"Basic " + basic.encode()},
        ):  # fmt: skip
            assert http.get("/info", headers=headers).status_code == 200
        for headers in (
            {"authorization": "Bearer wrong"}, {"authorization": "Basic ?"}, {"x-api-key": "s3cr"},
            {"authorization": "s3cret"}, {b"x-api-key": "s3crét".encode()},
        ):  # fmt: skip
            assert http.post("/v1/predict", headers=headers).status_code == 401
        assert (
            "access-control-allow-origin"
            not in http.get("/health", headers={"origin": "http://x"}).headers
        )
    assert "s3" not in repr(Settings(api_key="s3cret"))


def test_health_turns_bad_before_the_end(recognizer):
    app = create_app(recognizer, Settings())
    with TestClient(app) as http:
        service = app.app.state.service
        service.batcher._since[0] = -1e9
        assert http.get("/health").json() == {"status": "stuck"}
        service.batcher._since.clear()
        service.stopping = True
        stopping = http.get("/health")
        assert (stopping.status_code, stopping.json()) == (503, {"status": "stopping"})


def test_what_goes_wrong_inside_is_not_told(recognizer, monkeypatch):
    def fail(clips):
        raise RuntimeError("secret")

    gated = Gated(recognizer)
    gated.answer = fail
    with TestClient(create_app(gated, Settings())) as http:
        assert "secret" not in error_of(
            http.post("/v1/predict", json={"text": "가"}), 500, "InternalError"
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "0.0.0.0"}, {"host": "example.org"}, {"host": "::"}, {"queue": 0}, {"max_mb": -1},
        {"max_seconds": float("nan")}, {"batch_wait": -1}, {"api_key": " "}, {"port": 70000},
    ],
)  # fmt: skip
def test_settings_that_cannot_be(wrong):
    with pytest.raises(ConfigError):
        Settings(**wrong)


def test_exit_code_for_a_public_address_without_a_key():
    from erc.__main__ import main

    with pytest.raises(SystemExit) as caught:
        main(["serve", "--host", "0.0.0.0", "--api-key", ""])
    assert caught.value.code == 2


# batching alone


def said(name: str) -> Item:
    return Item(name, None, Options(text="가"))


def test_work_of_clients_who_left_is_dropped(recognizer):
    gated = Gated(recognizer)
    batcher = Batcher(gated, Settings(batch_wait=0), Metrics())
    [first] = batcher.submit([said("a")])
    assert gated.busy.wait(DEADLINE)
    rest = batcher.submit([said(name) for name in "bcd"])
    until(lambda: batcher._ready.qsize() == 3)  # decoded: now only the model can drop them
    for future in rest[:2]:
        future.cancel()
    until(lambda: batcher.depth == 2)
    gated.go.set()
    assert first.result(DEADLINE).label == rest[2].result(DEADLINE).label
    assert batcher.close(DEADLINE)
    assert sum(gated.sizes) == 2
    with pytest.raises(Problem, match="stopping"):
        batcher.submit([said("e")])


def test_one_poisonous_clip_spoils_only_its_own_answer(recognizer):
    def answer(clips):
        if any(clip.name == "poison" for clip in clips):
            raise RuntimeError("poison")
        return recognizer.answer(clips)

    gated = Gated(recognizer)
    gated.answer = answer
    batcher = Batcher(gated, Settings(batch_wait=500, batch_size=3), Metrics())
    a, bad, b = batcher.submit([said(name) for name in ("a", "poison", "b")])
    assert (a.result(DEADLINE).file, b.result(DEADLINE).file) == ("a", "b")
    with pytest.raises(RuntimeError):
        bad.result(DEADLINE)
    assert batcher.close(DEADLINE)


def test_closing_answers_what_was_accepted_at_once(recognizer):
    batcher = Batcher(recognizer, Settings(batch_wait=20_000, timeout=30), Metrics())
    futures = batcher.submit([said("a")] * 5)
    start = time.monotonic()
    threading.Thread(target=batcher.close, args=(DEADLINE,)).start()
    assert len({future.result(DEADLINE).label for future in futures}) == 1
    assert time.monotonic() - start < 15


# a process


@pytest.fixture
def serve(run, tmp_path):
    """Start `erc serve` with options; → (process, url)."""
    started = []

    def start(*options: str) -> tuple[subprocess.Popen, str]:
        command = [sys.executable, "-m", "erc", "serve", "--model", str(run / "model"), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        started.append(process)
        line = process.stdout.readline()
        assert "listening on" in line
        return process, line.split()[3]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_sigterm_answers_what_was_accepted_and_exits_with_0(serve, clips):
    # the batch would wait for 20 s: only the signal can be why it does not
    process, url = serve("--port", "0", "--batch-wait", "20000", "--batch-size", "99")
    watch = Client(url)
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(Client(url).predict, clip) for clip in clips[:8]]
        until(lambda: b"erc_queue_depth 8.0" in watch._ask("GET", "/metrics"))
        process.send_signal(signal.SIGTERM)
        start = time.monotonic()
        assert [job.result().file for job in jobs] == [clip.name for clip in clips[:8]]
    assert process.wait(DEADLINE) == 0
    assert time.monotonic() - start < 15
    with pytest.raises(ServerError, match="cannot be reached"):
        Client(url).predict(text="가")


def test_the_client_and_a_live_server_and_the_pages_of_the_docs(serve, recognizer, clips, tmp_path):
    process, url = serve("--port", "0", "--max-mb", "1", "--api-key", "secret")
    client = Client(url, api_key="secret")
    want = numbers(recognizer.predict(clips[0], "정말 좋았어"))
    samples = erc.base.audio.load(clips[0])
    for source, rate in ((clips[0], None), (clips[0].read_bytes(), None), (samples, 16000)):
        found = client.predict(source, "정말 좋았어", rate)
        np.testing.assert_allclose(numbers(found), want, atol=1e-5)
    found = list(client.predict_many([*clips, b"bad", (clips[0], "정말 좋았어")]))
    assert [isinstance(f, Failure) for f in found] == [False] * 12 + [True, False]
    np.testing.assert_allclose(numbers(found[-1]), want, atol=1e-5)
    with pytest.raises(AudioError, match="not recognised"):
        client.predict(b"bad")
    with pytest.raises(ServerError, match="TooLarge"):
        client.predict(b"RIFF" + b"\0" * 3_000_000)
    with pytest.raises(ServerError, match="Unauthorized"):
        Client(url, api_key="x").info()
    assert client.timeline(clips[0], format="csv", vad="none").startswith("file,start,end")
    _run_docs(url, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE) == 0


def _run_docs(url: str, folder: Path) -> None:
    """Every bash block with curl and every python block of docs/serving.md against this server."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    shutil.copytree(ROOT / "docs" / "samples", folder / "docs" / "samples")
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```", page, re.M | re.S)
    ran = 0
    for language, code in blocks:
        if language == "bash" and "curl" not in code:
            continue
        code = code.replace("http://127.0.0.1:8000", url)
        command = ["bash", "-ec"] if language == "bash" else [sys.executable, "-c"]
        environment = os.environ | {"ERC_API_KEY": "secret", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*command, code], cwd=folder, env=environment, text=True, capture_output=True
        )
        assert done.returncode == 0, code + done.stderr
        assert '"error"' not in done.stdout, done.stdout
        ran += 1
    assert ran >= 3
