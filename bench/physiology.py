"""What physiology adds to speech and text on a SIMULATED corpus, on equal encoders.

    python bench/physiology.py OUT --folds 0 1 2        # one core: about 4 minutes a fold

Per fold (strict protocol): `experiment=demo` trains tiny speech and text encoders on both modalities;
frozen, they then serve a two-modality model and trilinear ones, which differ in nothing but the third
vector and the fusion. Finished runs are not run again. Differences: paired bootstrap over speakers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from erc.evaluation import arrays_of_frame
from erc.experiment import run
from erc.metrics import evaluate
from erc.statistics import interval, paired_bootstrap

COMMON = [
    "experiment=demo", "model.dim=48", "model.freeze_speech=true", "model.freeze_text=true",
    "trainer.max_epochs=30", "early_stopping.monitor=val/loss", "early_stopping.mode=min",
    "early_stopping.patience=30", "trainer.enable_progress_bar=false",
]  # fmt: skip
TRILINEAR = [
    "model=trilinear", "model.fusion_options={patch_size:12,rank:64,mixer_dim:48,depth:2}",
]  # fmt: skip
SPEAKER = "dataset.physiology_baseline=speaker"
SYSTEMS = {
    "two": ["model=tiny", "model.fusion_options={patch_size:12,mixer_dim:48,depth:2}"],
    "features": TRILINEAR,
    "features, speaker baseline": [*TRILINEAR, SPEAKER],
    "conv, speaker baseline": [*TRILINEAR, "model.physiology_encoder=conv", SPEAKER],
}
ALL, BOTH = "speech + text + physiology", "speech + text"


def predictions(folder: Path, overrides: list[str]) -> pd.DataFrame:
    """`predictions.csv` of a run, which is made if it is not there."""
    if not (folder / "results.json").exists():
        run(overrides, folder)
    return pd.read_csv(folder / "predictions.csv", dtype={"id": str})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    given = parser.parse_args()
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in given.systems}
    for fold in given.folds:
        data = [f"dataset.paths={given.out / 'corpus'}", f"dataset.validation_fold={fold}"]
        data.append(f"cache={given.out / 'cache'}")
        start = given.out / "encoders" / f"fold{fold}"
        predictions(start, ["experiment=demo", "trainer.enable_progress_bar=false", *data])
        for name in given.systems:
            options = [*COMMON, *SYSTEMS[name], *data, f"module.load_from_checkpoint={start}"]
            folder = given.out / name.replace(", ", "-").replace(" ", "-") / f"fold{fold}"
            found[name].append(predictions(folder, options))
    table({name: pd.concat(frames) for name, frames in found.items()})


def table(frames: dict[str, pd.DataFrame]) -> None:
    """Pooled scores with intervals, and differences to the two-modality model."""
    two = frames["two"]
    reference = two[two.system == BOTH].set_index("id")
    print(f"SIMULATED, {len(reference)} utterances, {reference.speaker.nunique()} speakers")
    for name, frame in frames.items():
        for system in (BOTH, ALL):
            part = frame[frame.system == system].set_index("id")
            if not len(part):
                continue
            part = part.loc[reference.index]
            arrays, base = arrays_of_frame(part), arrays_of_frame(reference)
            people = np.asarray(reference.speaker)
            print(f"\n{name}: {system}")
            scores = interval(evaluate, arrays, people)
            gaps = paired_bootstrap(evaluate, arrays, base, people)
            for key in ("ccc_arousal", "ccc_valence", "f1_macro"):
                against = "" if part.equals(reference) else f"   − two: {gaps[key]}"
                print(f"  {key:12s} {scores[key]}{against}")


if __name__ == "__main__":
    main()
