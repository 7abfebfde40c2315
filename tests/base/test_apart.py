"""The process that decodes: what it does with a recording that hangs, crashes or swallows memory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from erc.base import apart, arrays, audio, decoding
from erc.base.errors import AudioError

pytestmark = pytest.mark.skipif(not apart.POSIX, reason="there are no such processes here")

PLANTED = (
    "import json, os, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from erc.base import apart, decoding; "
    "decoding.blocks_here = lambda file, name: {}; apart.COMPUTING = 1; apart.serve(int(sys.argv[1]))"
)


@pytest.fixture
def flac() -> bytes:
    sink = io.BytesIO()
    tone = (0.3 * np.sin(np.arange(32_000) / 9)).astype(np.float32)
    soundfile.write(sink, tone, 16_000, format="FLAC")
    return sink.getvalue()


@pytest.fixture
def plant(monkeypatch):
    """Processes that do something else instead of decoding."""

    def planted(what: str) -> None:
        monkeypatch.setattr(apart, "_idle", [])
        monkeypatch.setattr(apart, "START", PLANTED.format(what))

    return planted


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("sum(iter(int, 1))", "s of computing"),
        ("os.kill(os.getpid(), 11)", "crashed, code -11"),
        ("os._exit(3)", "crashed, code 3"),
        ("iter([bytearray(1 << 32)])", "too much memory"),
        ("__import__('time').sleep(99)", "nothing came of it"),
    ],
)
def test_a_decoder_that_fails_is_one_error_and_the_next_recording_is_heard(
    flac, plant, monkeypatch, what, says
):
    monkeypatch.setattr(apart, "WAITING", 2 if "sleep" in what else 60)
    with monkeypatch.context() as patch:
        patch.setattr(apart, "START", apart.START)
        plant(what)
        with pytest.raises(AudioError, match=f"a.flac: cannot be decoded.*{says}"):
            audio.load(named(flac))
    monkeypatch.undo()
    assert audio.load(flac).shape == (32_000,)


def named(data: bytes) -> io.BytesIO:
    file = io.BytesIO(data)
    file.name = "a.flac"
    return file


def test_it_is_what_decoding_here_gives(flac):
    here = np.concatenate(list(decoding.blocks_here(io.BytesIO(flac), "a")))
    np.testing.assert_array_equal(audio.load(flac), here)
    np.testing.assert_array_equal(audio.load_int16(flac), arrays.to_int16(here))
    assert audio.seconds(flac) == 2.0


def test_one_process_serves_all_and_a_file_held_open_stays_where_it_was(flac, tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(b"before" + flac)
    audio.load(flac)
    (one,) = apart._idle[-1:]
    with path.open("rb") as file:
        file.seek(6)
        for _ in range(3):
            assert audio.load(file).shape == (32_000,)
            assert file.tell() == 6
    assert apart._idle[-1] is one


def test_who_has_seen_enough_ends_it(flac):
    audio.load(flac)
    before = list(apart._idle)
    found = audio.blocks(flac)
    next(found)
    found.close()
    assert len(apart._idle) == len(before) - 1
    assert before[-1].process.poll() is not None


def test_a_forked_process_has_its_own(flac):
    audio.load(flac)
    child = os.fork()
    if not child:
        os._exit(bool(apart._idle) or audio.load(flac).shape != (32_000,))
    assert os.waitpid(child, 0)[1] == 0
    assert audio.load(flac).shape == (32_000,)


@pytest.mark.parametrize("kind", ["U8", "16", "24", "32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("format", ["WAV", "WAVEX", "RIFX", "RF64"])
def test_plain_numbers_are_read_as_libsndfile_reads_them(kind, format):
    if format == "RF64" and kind == "U8":
        pytest.skip("libsndfile writes none")
    subtype = kind if not kind.isdigit() else f"PCM_{kind}"
    subtype = {"U8": "PCM_U8"}.get(kind, subtype)
    noise = np.random.default_rng(0).uniform(-1, 1, (999, 2))
    sink, big = io.BytesIO(), format == "RIFX"
    soundfile.write(
        sink, noise, 16_000, format="WAV" if big else format, subtype=subtype,
        endian="BIG" if big else "FILE",
    )  # fmt: skip
    from erc.base.decoders import plain

    sink.seek(0)
    stream = plain(sink, "a")
    assert (stream.rate, stream.channels, stream.frames) == (16_000, 2, 999)
    ours = stream.read(2000, "float32")
    sink.seek(0)
    theirs, _ = soundfile.read(sink, dtype="float32")
    np.testing.assert_array_equal(ours, theirs)
    assert not len(stream.read(2000, "float32"))


def test_it_finds_erc_where_only_a_hook_of_site_does(flac, tmp_path):
    """As an editable install does: no entry of `sys.path` leads to the package."""
    (tmp_path / "a.flac").write_bytes(flac)
    script = tmp_path / "own.py"  # and without a guard for `__main__`
    root = str(Path(apart.__file__).parents[2])
    script.write_text(
        f"import os, sys\nsys.path.insert(0, {root!r})\nimport erc\nfrom erc.base import audio\n"
        f"sys.path[:] = [p for p in sys.path if os.path.abspath(p) != {root!r}]\n"
        "print(len(audio.load('a.flac')))\n",
        "utf-8",
    )
    without = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, cwd=tmp_path, env=without
    )
    assert done.stdout == "32000\n", done.stderr


def test_a_process_that_does_not_run_is_not_the_fault_of_the_recording(flac, monkeypatch):
    monkeypatch.setattr(apart, "_idle", [])
    monkeypatch.setattr(apart, "START", "import nothing_of_that_name")
    with pytest.raises(AudioError, match="does not run, code 1; is erc installed whole") as caught:
        audio.load(flac)
    assert "harm" not in str(caught.value)
