"""What physiology adds to speech and text on a SIMULATED corpus, on equal encoders.

    python bench/physiology.py OUT --folds 0 1 2        # one core: about 4 minutes a fold

Per fold (strict protocol): `experiment=demo` trains tiny speech and text encoders on both modalities;
frozen, they then serve a two-modality model ("two"), trilinear models, and a trilinear one that is
trained where nobody wore a device ("unmeasured"): what is better than that, physiology has added.
Finished runs are not run again. Differences: paired bootstrap over speakers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from erc.scores.metrics import evaluate
from erc.scores.statistics import interval, paired_bootstrap
from erc.studies.experiment import run
from erc.training.evaluation import arrays_of_frame

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
    "unmeasured": TRILINEAR,
    "two": ["model=tiny", "model.fusion_options={patch_size:12,mixer_dim:48,depth:2}"],
    "features": TRILINEAR,
    "features, speaker baseline": [*TRILINEAR, SPEAKER],
    "conv, speaker baseline": [*TRILINEAR, "model.physiology_encoder=conv", SPEAKER],
}
KEYS = ("ccc_arousal", "ccc_valence", "f1_macro")
ALL, BOTH = "speech + text + physiology", "speech + text"


def predictions(folder: Path, overrides: list[str]) -> pd.DataFrame:
    """`predictions.csv` of a run, which is made if it is not there."""
    if not (folder / "results.json").exists():
        run(overrides, folder)
    return pd.read_csv(folder / "predictions.csv", dtype={"id": str})


def undressed(out: Path) -> Path:
    """The corpus without the folders of the devices."""
    folder = out / "unmeasured-corpus"
    folder.mkdir(exist_ok=True)
    for name in ("annotation", "wav", "SIMULATED.txt"):
        if not (folder / name).exists():
            (folder / name).symlink_to((out / "corpus" / name).resolve())
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    given = parser.parse_args()
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in given.systems}
    for fold in given.folds:
        data = [f"dataset.validation_fold={fold}", f"cache={given.out / 'cache'}"]
        data.append(f"dataset.paths={given.out / 'corpus'}")
        start = given.out / "encoders" / f"fold{fold}"
        predictions(start, ["experiment=demo", "trainer.enable_progress_bar=false", *data])
        for name in given.systems:
            options = [*COMMON, *SYSTEMS[name], *data, f"module.load_from_checkpoint={start}"]
            if name == "unmeasured":
                options.append(f"dataset.paths={undressed(given.out)}")
            folder = given.out / name.replace(", ", "-").replace(" ", "-") / f"fold{fold}"
            found[name].append(predictions(folder, options))
    table({name: pd.concat(frames) for name, frames in found.items()})


def table(frames: dict[str, pd.DataFrame]) -> None:
    """Pooled scores with intervals, and differences to the models without physiology."""
    parts = {
        (name, use): frame[frame.system == use].set_index("id")
        for name, frame in frames.items()
        for use in (BOTH, ALL)
    }
    parts = {key: part for key, part in parts.items() if len(part)}
    order = next(iter(parts.values())).index
    people = next(iter(parts.values())).speaker.to_numpy()
    arrays = {key: arrays_of_frame(part.loc[order]) for key, part in parts.items()}
    print(f"SIMULATED, {len(order)} utterances, {len(set(people))} speakers")
    for (name, use), own in arrays.items():
        print(f"\n{name}: {use}")
        scores = interval(evaluate, own, people)
        for key in KEYS:
            print(f"  {key:12s} {scores[key]}")
        for other in {("unmeasured", BOTH), ("two", BOTH), (name, BOTH)} & set(arrays):
            if (name, use) != other and name not in ("two", "unmeasured"):
                gaps = paired_bootstrap(evaluate, own, arrays[other], people)
                for key in KEYS:
                    print(f"  {key:12s} − {other[0]}, {other[1]}: {gaps[key]}")


if __name__ == "__main__":
    main()
