"""A corpus with nine classes, dominance and a 1–7 scale: from the raw folder to the report."""

import csv
import html
import json
import re

import numpy as np
import planted
import pytest

from erc.__main__ import main

NINE = "surprise fear angry neutral happy sad disgust boredom contempt".split()
SCALES = {"valence": [1, 7], "arousal": [1, 7], "dominance": [1, 7]}
FOREIGN = re.compile(r"\bseven\b|\b7 emotions|\b1\s?(–|to|…)\s?5\b|\b5 (positive|excited)", re.I)

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """27 simulated recordings of three people; five votes and three ratings each."""
    folder, rng = tmp_path_factory.mktemp("nine"), np.random.default_rng(0)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "audio", "text", "speaker", "session", *NINE, *SCALES])
        for i in range(27):
            planted.write(folder / f"{i}.wav", planted.speech(i, 6))
            votes = rng.multinomial(5, 0.7 * np.eye(9)[i % 9] + 0.3 / 9)
            who = f"S{i // 9}"
            rated = rng.uniform(5.1, 7, 3).round(2)  # off a scale of 1–5
            rows.writerow([f"u{i}", f"{i}.wav", "정말 좋았어", who, who, *votes, *rated])
    return folder


def test_from_raw_folder_to_report(corpus, tmp_path, capsys):
    run, page = tmp_path / "run", tmp_path / "report.html"
    scales = ", ".join(f"{name}: {ends}" for name, ends in SCALES.items())
    words = [
        "train", "dataset=manifest", f"dataset.paths={corpus}", f"run_dir={run}",
        f"dataset.emotions=[{','.join(NINE)}]", f"dataset.dimensions={{{scales}}}",
        "dataset.num_folds=session", "dataset.validation_fold=0", "dataset.protocol=strict",
        f"cache={tmp_path / 'cache'}",
        "model=tiny", "model.freeze_speech=true", "model.freeze_text=true", "export=false",
        "dataloader.batch_size=9", "trainer.max_epochs=1", "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
    ]  # fmt: skip
    assert not main(words)
    assert not main(["report", str(run), "-o", str(page)])
    said = capsys.readouterr().out
    for found in (
        json.loads((run / "results.json").read_text())["space"],
        json.loads((run / "model/config.json").read_text()),
    ):
        assert (found["emotions"], found["dimensions"]) == (NINE, SCALES)
    with (run / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shares = np.array([[float(row[f"p_{e}"]) for e in NINE] for row in rows])
    assert np.allclose(shares.sum(1), 1, atol=1e-5)
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"<(style|script).*?</\1>|\bdata:[^\"]*", "", text, flags=re.S)
    text = html.unescape(re.sub(r"<[^>]+>", " ", text))
    for word in ("boredom", "contempt", "CCC dominance"):
        assert word in text
    for read in (text, said, (run / "model/README.md").read_text(encoding="utf-8")):
        assert not FOREIGN.search(read), FOREIGN.search(read)
