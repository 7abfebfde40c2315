"""`erc live`: a recording as if it were spoken now, a microphone that is not there, and the picture."""

from __future__ import annotations

import json
import signal
import sys
from collections import deque
from threading import Event
from types import SimpleNamespace

import numpy as np
import planted
import pytest
import soundfile
from rich.console import Console

import erc
from erc.base.arrays import to_int16
from erc.base.audio import SAMPLE_RATE
from erc.base.errors import AudioError, ConfigError
from erc.base.space import KEMDY, space
from erc.cli import live_sound
from erc.cli.live_screen import SHOWN, Picture
from erc.cli.live_sound import CHUNK, Microphone, interrupted, played
from erc.cli.program import main
from erc.recognizer.prediction import Prediction
from erc.timeline import Heard, TurnFailure

pytest.importorskip("silero_vad")


@pytest.fixture(scope="module")
def pcm() -> np.ndarray:
    return to_int16(planted.conversation(3)[0])


@pytest.fixture(scope="module")
def recording(pcm, tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "talk.wav"
    soundfile.write(path, pcm, SAMPLE_RATE)
    return path


@pytest.fixture(scope="module")
def expected(recording, run):
    return erc.load(run / "model").timeline(recording)


# --- a recording -----------------------------------------------------------------------------------


def test_a_recording_gives_its_timeline_and_a_line_for_each_turn(
    recording, run, expected, tmp_path, capsys
):
    out = tmp_path / "talk.json"
    words = ["live", "--from", str(recording), "--fast", "--model", str(run / "model")]
    assert main([*words, "--speaker", "Ann", "-o", str(out)]) == 0
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    made = json.loads(out.read_text("utf-8"))
    assert made["simulated"] is True
    assert "simulated" in said.err
    assert str(out) in said.err
    for found in (lines, made["turns"]):
        assert len(found) == len(expected.turns) == 3
        for one, want in zip(found, expected.turns):
            assert (one["start"], one["end"], one["speaker"]) == (want.start, want.end, "Ann")
            assert one["valence"] == pytest.approx(want.valence, abs=1e-5)
            assert one["probabilities"] == pytest.approx(want.probabilities, abs=1e-5)
    assert main([*words, "-q"]) == 0
    assert not capsys.readouterr().out


def test_a_terminal_shows_a_picture_and_then_the_table(recording, run, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    words = ["live", "--from", str(recording), "--fast", "--model", str(run / "model")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    for word in ("neutral", "valence", "1 calm … 5 excited", "SIMULATED model", "listening"):
        assert word in shown, word


def test_it_is_played_as_it_was_spoken(recording, pcm):
    """A piece comes when its last sample would have been spoken, or later if hearing is slow."""
    now, waits = 100.0, []

    def clock() -> float:
        return now

    class Stop(Event):
        def wait(self, seconds: float) -> bool:
            nonlocal now
            waits.append(seconds)
            now += seconds
            return self.is_set()

    stop, at, pieces = Stop(), [], []
    for i, piece in enumerate(played(str(recording), stop, False, clock)):
        at.append(now - 100)
        pieces.append(piece)
        now += 0.25 if i == 10 else 0.001
    np.testing.assert_array_equal(np.frombuffer(b"".join(pieces), "<i2"), pcm)
    lengths = np.array([len(piece) for piece in pieces]) / 2 / SAMPLE_RATE
    assert lengths.max() == CHUNK
    late = np.array(at) - lengths.cumsum()
    assert late[11] == pytest.approx(0.15)
    assert np.abs(late[13:]).max() < 1e-6
    assert waits[11] == waits[12] - waits[12] == 0
    waits.clear()
    assert len(list(played(str(recording), stop, True, clock))) == len(at)
    assert set(waits) == {0}
    stop.set()
    assert not list(played(str(recording), stop, False, clock))


def test_ctrl_c_ends_the_stream_and_the_second_one_all():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # behind & it is ignored
    try:
        with interrupted() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_does_not_go_together(run, tmp_path, capsys):
    for words, what in (
        (["--fast"], "give --from FILE"),
        (["--from", "a.wav", "--device", "1"], "give one of them"),
        (["-o", "a.doc"], "one of the suffixes"),
        (["--from", str(tmp_path / "none.wav"), "--model", str(run / "model")], "none.wav"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["live", *words])
        assert ended.value.code == 2
        assert what in capsys.readouterr().err


# --- a microphone ----------------------------------------------------------------------------------


class NoSound(Exception):
    """PortAudio's."""


def machine(pieces: list[bytes], stop: Event, **broken) -> SimpleNamespace:
    """sounddevice on a machine whose microphone hears these pieces, and then Ctrl-C."""
    asked = []

    class RawInputStream:
        def __init__(self, callback, **options):
            asked.append(options)
            if "open" in broken:
                raise broken["open"]
            self.callback = callback

        def start(self):
            for piece in pieces:
                self.callback(memoryview(piece), len(piece) // 2, None, None)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked.append("closed")

    def query_devices(device, kind):
        asked.append((device, kind))
        if "query" in broken:
            raise broken["query"]
        return {"default_samplerate": 44_100.0}

    return SimpleNamespace(
        RawInputStream=RawInputStream, query_devices=query_devices, PortAudioError=NoSound,
        asked=asked,
    )  # fmt: skip


def test_a_microphone_is_heard_at_its_own_rate(monkeypatch, pcm):
    stop = Event()
    pieces = [bytes(x.tobytes()) for x in np.array_split(pcm[:44_100], 10)]
    sound = machine(pieces, stop)
    monkeypatch.setitem(sys.modules, "sounddevice", sound)
    microphone = Microphone("2")
    assert microphone.rate == 44_100
    found = b""
    for piece in microphone.chunks(stop):
        found += piece
        stop.set()
    assert found == b"".join(pieces)  # all that waited, at once
    assert sound.asked[0] == (2, "input")
    assert sound.asked[1]["samplerate"] == 44_100
    assert (sound.asked[1]["dtype"], sound.asked[1]["channels"]) == ("int16", 1)
    assert sound.asked[2] == "closed"


def test_a_model_that_never_keeps_up_is_an_error(monkeypatch):
    stop = Event()
    monkeypatch.setitem(sys.modules, "sounddevice", machine([b"\0\0"] * 700, stop))
    with pytest.raises(AudioError, match="60 s behind"):
        list(Microphone().chunks(stop))


@pytest.mark.parametrize("broken", ["query", "open"])
@pytest.mark.parametrize("error", [NoSound("Error querying device -1"), NoSound()])
def test_without_a_microphone_one_line_says_what_to_do(monkeypatch, broken, error):
    stop = Event()
    monkeypatch.setitem(sys.modules, "sounddevice", machine([], stop, **{broken: error}))
    with pytest.raises(ConfigError, match=r"no microphone can be used .*--device.*--from") as said:
        list(Microphone().chunks(stop))
    assert "\n" not in str(said.value)


def test_a_name_that_fits_no_microphone(monkeypatch):
    broken = ValueError("No input device matching 'USB'")
    monkeypatch.setitem(sys.modules, "sounddevice", machine([], Event(), query=broken))
    with pytest.raises(ConfigError, match="matching 'USB'"):
        Microphone("USB")


def test_without_sounddevice_or_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ConfigError, match=r"pip install 'erc\[live\]'"):
        Microphone()
    monkeypatch.delitem(sys.modules, "sounddevice")

    class Finder:
        @staticmethod
        def find_spec(name, *_):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(ConfigError, match=r"PortAudio: apt install .*erc live --from FILE"):
        Microphone()


def test_the_command_hears_a_microphone(monkeypatch, pcm, run, expected, capsys):
    stop = Event()
    sound = machine([pcm.tobytes()], stop)
    sound.query_devices = lambda *_: {"default_samplerate": 16_000.0}
    monkeypatch.setitem(sys.modules, "sounddevice", sound)
    whole = Microphone.chunks

    def once(self, stop):
        yield next(whole(self, stop))
        stop.set()

    monkeypatch.setattr(live_sound.Microphone, "chunks", once)
    assert main(["live", "--model", str(run / "model")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["end"] for one in lines] == [t.end for t in expected.turns]
    assert {one["file"] for one in lines} == {"<microphone>"}


# --- the picture -----------------------------------------------------------------------------------


def shown(picture: Picture, width: int = 90) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as text:
        console.print(picture)
    return text.get()


def turn(**more) -> Prediction:
    shares = dict.fromkeys(KEMDY.emotions, 0.05) | {"happy": 0.7}
    made = {"file": "a", "label": "happy", "probabilities": shares, "confidence": 0.7}
    made |= {"dimensions": {"valence": 5.0, "arousal": 1.0}, "modalities": ("speech",)}
    return Prediction(**made | {"start": 1.0, "end": 2.5} | more)


def test_the_picture_says_what_is_known():
    picture = Picture(KEMDY, True)
    text = shown(picture)
    assert "0:00" in text
    assert "listening" in text
    assert "simulated" in text
    assert "%" not in text
    picture.tell(Heard(turn(), True))
    picture.tick(75)
    lines = shown(picture).splitlines()
    assert "1:15" in lines[0]
    assert "speaking" in lines[0]
    bars = {e: next(x for x in lines if f" {e} " in f" {x}") for e in KEMDY.emotions}
    assert bars["happy"].count("━") == round(0.7 * 32)
    assert "70%" in bars["happy"]
    assert bars["sad"].count("━") == round(0.05 * 32)
    scale = [x.split()[1] for x in lines if x.split()[:1] in (["valence"], ["arousal"])]
    assert [s.index("●") for s in scale] == [31, 0]
    assert "1.0–2.5 s" not in "\n".join(lines)
    picture.tell(Heard(turn(speaker="[Ann]")))
    assert "1.0–2.5 s  [Ann]  happy 70%" in shown(picture)  # no markup of a stranger's
    assert "listening" in shown(picture)


def test_failures_other_spaces_and_many_turns():
    picture = Picture(space([], {"pain": [0, 10]}), False)
    assert "simulated" not in shown(picture)
    picture.tell(Heard(TurnFailure("a", "too short", 1.0, 1.2)))
    text = shown(picture)
    assert text.count("too short") == 2
    assert "pain" in text
    picture = Picture(KEMDY, False)
    deque((picture.tell(Heard(turn(start=float(i)))) for i in range(30)), maxlen=0)
    assert shown(picture).count("happy 70%") == SHOWN
    assert "29.0–" in shown(picture)
