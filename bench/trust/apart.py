"""What it costs to decode in a process of its own: computing of both processes, for each recording.

python -m bench.trust.apart
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from erc.base import apart, audio
from erc.base.decoding import blocks_here

CLIPS, ROUNDS, RATE = 100, 5, 16_000


def computing() -> float:
    """s of this process and of those that decode for it."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    for decoder in apart._idle:
        stat = Path(f"/proc/{decoder.process.pid}/stat").read_text().rpartition(")")[2].split()
        used += (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return used


def least(call: Callable[[Path], object], paths: list[Path]) -> float:
    """ms for each recording, of the best round."""
    call(paths[0])
    found = []
    for _ in range(ROUNDS):
        start = computing()
        for path in paths:
            call(path)
        found.append(computing() - start)
    return 1000 * min(found) / len(paths)


def here(path: Path) -> np.ndarray:
    """Decoded in this process, by libsndfile."""
    with path.open("rb") as file:
        return np.concatenate(list(blocks_here(file, str(path))))


def main() -> int:
    """Print a line for each format."""
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * RATE)
    noise = np.convolve(noise, np.ones(8) / 8, "same")
    with tempfile.TemporaryDirectory() as place:
        for format in ("WAV", "FLAC", "MP3"):
            paths = [Path(place) / f"{i}.{format.lower()}" for i in range(CLIPS)]
            for path in paths:
                soundfile.write(path, noise, RATE, format=format)
            print(
                f"{format}, 5 s: {least(here, paths):.2f} ms by libsndfile here, "
                f"{least(audio.load, paths):.2f} ms as it is done"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
