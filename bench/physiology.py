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

import numpy as np

from erc.scores.scored import Scored, pool, read
from erc.studies.experiment import run

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


def predictions(folder: Path, overrides: list[str]) -> dict[str, Scored]:
    """`predictions.csv` of a run, which is made if it is not there."""
    if not (folder / "results.json").exists():
        run(overrides, folder)
    return read(folder / "predictions.csv")


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
    found: dict[str, list[dict[str, Scored]]] = {name: [] for name in given.systems}
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
    table(found)


def table(found: dict[str, list[dict[str, Scored]]]) -> None:
    """Pooled scores with intervals, and differences to the models without physiology."""
    parts = {
        (name, use): pool([fold[use] for fold in folds])
        for name, folds in found.items()
        for use in (BOTH, ALL)
        if use in folds[0]
    }
    parts = {key: part.take(np.argsort(part.id)) for key, part in parts.items()}
    first = next(iter(parts.values()))
    print(f"SIMULATED, {len(first)} utterances, {len(set(first.speaker))} speakers")
    for (name, use), own in parts.items():
        print(f"\n{name}: {use}")
        for key, score in own.intervals(KEYS).items():
            print(f"  {key:12s} {score}")
        for other in {("unmeasured", BOTH), ("two", BOTH), (name, BOTH)} & set(parts):
            if (name, use) != other and name not in ("two", "unmeasured"):
                for key, gap in own.minus(parts[other], KEYS).items():
                    print(f"  {key:12s} − {other[0]}, {other[1]}: {gap}")


if __name__ == "__main__":
    main()
