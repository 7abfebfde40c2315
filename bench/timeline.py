"""Long recordings: hours of audio an hour, and what an hour costs in memory over a minute."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import Row, isolated, table

RATE = 16_000


def run(quick: bool) -> list[Row]:
    """A simulated conversation of a minute and of an hour (quick: five minutes), a fresh process
    each: the search for turns alone, and the timeline with a small model."""
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder) / "model")
        isolated("bench.timeline:make_model", model)
        records = [r for m in (1, 5 if quick else 60) for r in _measured(folder, model, m)]
    peaks = [r["peak MB"] for r in records if r["what"] == "timeline"]
    note = f"peak memory: {peaks[1] - peaks[0]:+.0f} MB from the shortest to the longest"
    return [table("long recordings", records, note=f"{note}; at most 300 allowed")]


def _measured(folder: str, model: str, minutes: int) -> list[dict[str, Any]]:
    wav = str(Path(folder) / f"{minutes}.wav")
    isolated("bench.timeline:make_recording", wav, minutes)
    records = []
    for what, call, args in (
        ("turns only", "bench.timeline:find_turns", (wav,)),
        ("timeline", "bench.timeline:answer", (wav, model)),
    ):
        done = isolated(call, *args)
        records.append(
            {
                "what": what,
                "minutes": minutes,
                "turns": done.value["turns"],
                "seconds": round(done.seconds, 2),
                "hours an hour": round(minutes * 60 / done.seconds),
                "peak MB": round(done.rss),
            }
        )
    return records


def make_recording(path: str, minutes: int, seed: int = 0) -> None:
    """Two simulated voices in turn, with pauses of 0.8–3 s between them."""
    import soundfile

    from erc.base.voice import Delivery, cast, speak

    rng = np.random.default_rng(seed)
    voices = [cast("F", rng), cast("M", rng)]
    text = "안녕하세요 오늘은 날씨가 정말 좋네요 우리 같이 산책을 가요 어때요 좋아요".replace(
        " ", ""
    )
    said = [
        speak(text[: rng.integers(6, 30)], voices[i % 2], Delivery(*rng.uniform(2, 5, 3)), rng)
        for i in range(40)
    ]
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while file.tell() < minutes * 60 * RATE:
            pause = rng.standard_normal(int(rng.uniform(0.8, 3) * RATE))
            file.write((pause * 10).astype(np.int16))
            file.write(said[rng.integers(len(said))])


def make_model(folder: str) -> None:
    """Train the tiny model on a small simulated corpus; its answers do not matter here."""
    from erc.corpora.simulated import write_tree
    from erc.studies.experiment import run as train

    with tempfile.TemporaryDirectory() as corpus:
        root = Path(corpus) / "KEMDy19"
        write_tree(root, "kemdy19", 5, 8, 0, defects=False)
        train(
            [
                "dataset=hf", f"dataset.paths={root}", "dataset.protocol=strict", "model=tiny",
                "trainer.max_epochs=1", "trainer.accelerator=cpu",
                "trainer.enable_progress_bar=false",
            ],
            Path(folder).parent / "run",
        )  # fmt: skip
    (Path(folder).parent / "run" / "model").rename(folder)


def find_turns(wav: str) -> dict[str, Any]:
    """Voice activity alone."""
    import time

    from erc.recognizer.vad import Detector, detect
    from erc.timeline.recording import Recording

    Detector()  # imports and weights are not counted
    start = time.perf_counter()
    turns = detect(Recording(wav).blocks())
    return {"turns": len(turns), "seconds": time.perf_counter() - start}


def answer(wav: str, model: str) -> dict[str, Any]:
    """The whole timeline."""
    import time

    import erc

    recognizer = erc.load(model)
    start = time.perf_counter()
    found = recognizer.timeline(wav)
    return {"turns": len(found.turns), "seconds": time.perf_counter() - start}
