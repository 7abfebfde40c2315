"""Mutated recordings: each is decoded or refused by name; none answers nan, hangs, or takes the memory.

python -m bench.trust.audio [--files 2000] [--seed 0] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import io
import random
import struct
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from bench.trust.measure import Cost, cost
from erc.base import apart, audio
from erc.base.errors import AudioError, AudioWarning

SECONDS, MEGABYTES = 5.0, 300.0
RATE = 16_000
LOOPS = 0xFFFFFFF8  # the size of a LIST chunk that libsndfile reads for ever


def originals() -> dict[str, bytes]:
    """Format → a recording of two seconds, a chirp."""
    t = np.arange(2 * RATE) / RATE
    chirp = (0.4 * np.sin(2 * np.pi * (200 + 300 * t) * t)).astype(np.float32)
    stereo = np.stack([chirp, 0.5 * chirp], 1)

    def encode(samples: np.ndarray, format: str, subtype: str | None = None, **more: str) -> bytes:
        sink = io.BytesIO()
        soundfile.write(sink, samples, RATE, format=format, subtype=subtype, **more)
        return sink.getvalue()

    found = {
        "wav": encode(chirp, "WAV", "PCM_16"),
        "wav-float": encode(stereo, "WAV", "FLOAT"),
        "wav-24": encode(stereo, "WAV", "PCM_24"),
        "wav-adpcm": encode(chirp, "WAV", "IMA_ADPCM"),
        "rifx": encode(chirp, "WAV", "PCM_16", endian="BIG"),
        "rf64": encode(chirp, "RF64", "PCM_16"),
        "flac": encode(stereo, "FLAC"),
        "ogg": encode(chirp, "OGG", "VORBIS"),
        "opus": encode(chirp, "OGG", "OPUS"),
        "mp3": encode(chirp, "MP3"),
        "aiff": encode(stereo, "AIFF", "PCM_16"),
    }
    try:
        found["m4a"] = _m4a(chirp)
    except ImportError:
        print("no m4a: pip install 'erc[formats]'", file=sys.stderr)
    return found


def _m4a(samples: np.ndarray) -> bytes:
    import av

    sink = io.BytesIO()
    sink.name = "a.m4a"
    with av.open(sink, "w", format="mp4") as container:
        track = container.add_stream("aac", rate=RATE, layout="mono")
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], "fltp", "mono")
            frame.rate = RATE
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return sink.getvalue()


def mutations() -> dict[str, Callable[[bytearray, random.Random], bytes]]:
    """Name → bytes of a recording, a source of chance → other bytes."""

    def flip(data: bytearray, chance: random.Random) -> bytes:
        for _ in range(chance.choice([1, 4, 32, 500])):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(data)

    def head(data: bytearray, chance: random.Random) -> bytes:
        for _ in range(chance.choice([1, 3, 8])):
            data[chance.randrange(min(200, len(data)))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
        return bytes(data)

    def field(data: bytearray, chance: random.Random) -> bytes:
        place = chance.randrange(4, 120)
        value = chance.choice(
            [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 8, chance.getrandbits(32)]
        )
        data[place : place + 4] = struct.pack(chance.choice("<>") + "I", value)
        return bytes(data)

    def cut(data: bytearray, chance: random.Random) -> bytes:
        return bytes(data[: chance.randrange(len(data))])

    def magic(data: bytearray, chance: random.Random) -> bytes:
        kinds = [b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b"ID3\4", b"\xff\xfb\x90\0"]
        data[:4] = chance.choice(kinds)
        return bytes(data)

    def double(data: bytearray, chance: random.Random) -> bytes:
        place = chance.randrange(len(data))
        return bytes(data[:place] + data[chance.randrange(len(data)) :] + data[place:])

    def loop(data: bytearray, chance: random.Random) -> bytes:
        order = ">" if data[:4] == b"RIFX" else "<"
        size = chance.choice([LOOPS, LOOPS, 0xFFFFFFFF, 0x7FFFFFF8])
        chunk = chance.choice([b"LIST", b"LIST", b"cue ", b"smpl"]) + struct.pack(order + "I", size)
        tag = b"ID3\4\0\0\0\0\0\0" if chance.random() < 0.3 else b""
        return tag + bytes(data[:12] + chunk + b"INFO" + b"\0" * 32 + data[12:])

    def samples(data: bytearray, chance: random.Random) -> bytes:
        values = [np.nan, np.inf, -np.inf, 1e29, 3e38, 1e-40]
        for _ in range(5):
            place = len(data) - 4 * chance.randrange(1, 1000)
            if place > 100:
                data[place : place + 4] = struct.pack("<f", chance.choice(values))
        return bytes(data)

    return {
        "bits flipped": flip,
        "head changed": head,
        "field changed": field,
        "cut": cut,
        "other magic": magic,
        "pieces doubled": double,
        "chunk that loops": loop,
        "samples of nan, inf, 1e29": samples,
    }


def bombs() -> dict[str, bytes]:
    """Name → bytes that claim, or unpack to, far more than they are."""
    flac = bytearray(originals()["flac"])
    flac[21:26] = bytes([flac[21] | 0x0F, 255, 255, 255, 255])
    sink = io.BytesIO()
    with soundfile.SoundFile(sink, "w", 655_350, 8, format="FLAC", subtype="PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros((655_350, 8), np.int16))
    silence = io.BytesIO()
    with soundfile.SoundFile(silence, "w", 48_000, 8, format="FLAC", subtype="PCM_16") as file:
        for _ in range(30):
            file.write(np.zeros((48_000, 8), np.int16))
    return {
        "flac that claims 2^36 frames": bytes(flac),
        "flac of 8 channels at 655,350 Hz": sink.getvalue(),
        "flac of 30 s of silence, 8 channels": silence.getvalue(),
        "ID3 tags without end": b"ID3\4\0\0\0\0\0\0" * 3_000_000,
        "Ogg pages without end": originals()["ogg"] * 200,
    }


def mutated(files: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """(what it is, bytes), the same for the same seed."""
    made, kinds = originals(), mutations()
    yield from bombs().items()
    for number in range(files - len(bombs())):
        chance = random.Random(f"{seed}-{number}")
        name, kind = chance.choice(sorted(made)), chance.choice(sorted(kinds))
        yield f"{number:04d} {name}, {kind}", kinds[kind](bytearray(made[name]), chance)


def attempt(data: bytes) -> str:
    """What decoding comes to."""
    try:
        samples = audio.load(data)
    except AudioError as error:
        return "refused" if "\n" not in str(error) else "REFUSED IN SEVERAL LINES"
    except Exception as error:
        return f"TRACEBACK {type(error).__name__}: {error}"
    if not np.isfinite(samples).all() or samples.dtype != np.float32:
        return "NAN"
    return "decoded"


def attack(files: int, seed: int) -> list[tuple[str, Cost]]:
    """Every one, decoded; the memory is of the larger of the two processes."""
    audio.load(originals()["flac"])  # the other process is there
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AudioWarning)
        for name, data in mutated(files, seed):
            before = _apart()
            one = cost(lambda data=data: attempt(data))
            found.append((name, one._replace(megabytes=max(one.megabytes, _apart() - before))))
    return found


def _apart() -> float:
    """MB that the processes which decode have had at most."""
    most = 0.0
    for decoder in apart._idle:
        try:
            text = Path(f"/proc/{decoder.process.pid}/status").read_text()
        except OSError:
            continue
        most = max(most, int(text.split("VmHWM:")[1].split()[0]) / 1000)
    return most


def main() -> int:
    """Print what came of them, and the worst; 1 if one is neither decoded nor refused, or at a price."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=2000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path, help="write them there, and decode none")
    given = options.parse_args()
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
        for number, (name, data) in enumerate(mutated(given.files, given.seed)):
            suffix = name.split()[1].partition(",")[0].partition("-")[0] if "," in name else "flac"
            (given.keep / f"{number:04d}.{suffix}").write_bytes(data)
        return 0
    found, bad = attack(given.files, given.seed), 0
    for name, (outcome, seconds, megabytes) in found:
        if outcome not in ("decoded", "refused") or seconds > SECONDS or megabytes > MEGABYTES:
            print(f"{name}: {outcome}, {seconds:.1f} s, {megabytes:.0f} MB")
            bad += 1
    slowest = max(found, key=lambda one: one[1].seconds)
    largest = max(found, key=lambda one: one[1].megabytes)
    print(f"{len(found)} files, seed {given.seed}: {dict(Counter(c.outcome for _, c in found))}")
    print(f"slowest {slowest[1].seconds:.2f} s ({slowest[0]})")
    print(f"largest {largest[1].megabytes:.0f} MB above the start ({largest[0]})")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
