"""EmoBank (Buechel & Hahn 2017) as a manifest: texts with mean valence and arousal, official split.

    python bench/emobank_manifest.py ../shared/labels/emobank/emobank.csv runs/emobank/manifest.csv

Its dimensions are on our scale (1–5). The split becomes the session, so that folds follow it: sorted
sessions are dev, test, train, and fold 1 of `num_folds=session` holds the test split out. Under the
strict protocol every 8th of the remaining sessions, here dev, stops the training.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path


def convert(source: Path, target: Path) -> int:
    """Write the manifest; returns its number of rows."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        source.open(encoding="utf-8", newline="") as old,
        target.open("w", encoding="utf-8") as new,
    ):
        writer = csv.writer(new)
        writer.writerow(["id", "audio", "text", "speaker", "session", "valence", "arousal"])
        count = 0
        for row in csv.DictReader(old):
            # The document is the nearest thing to a speaker; a split never shares one sentence.
            speaker = f"{row['split']}-{row['id'].split('_')[0]}"
            values = [row["id"], "", row["text"], speaker, row["split"], row["V"], row["A"]]
            writer.writerow(values)
            count += 1
    return count


if __name__ == "__main__":
    print(convert(Path(sys.argv[1]), Path(sys.argv[2])), "texts")
