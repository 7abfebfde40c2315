"""The model's feature space beside the raters' valence–arousal map: a table, a figure, numbers.

`erc.scores.alignment` measures; the picture shows the principal plane of the features.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.cells import guard
from erc.base.errors import ConfigError
from erc.base.files import atomic, write_json
from erc.base.space import KEMDY, Space
from erc.scores.alignment import Mapped, align
from erc.scores.results import Results
from erc.scores.scored import read
from erc.scores.tables import grid, number

FEATURES = "features.npy"  # of the held-out utterances, as `erc.training.evaluation` keeps them
NAMES = {
    "procrustes_r2": "Procrustes R² of the emotions' centroids",
    "rsa": "Spearman of pairwise distances (RSA)",
}


def plane(features: np.ndarray, towards: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Features [N, F] in their principal plane, turned (not bent) towards the raters' map.

    Args:
        towards: [N, 2] rated map; the emotions' centroids decide rotation and mirroring. nan: not rated,
            and nothing is turned.
        label: [N] index of the emotion, −1: none.
    """
    x = np.asarray(features, float) - np.mean(features, 0)
    flat = x @ np.linalg.svd(x, full_matrices=False)[2][:2].T
    flat = np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    kinds = sorted(set(label[~np.isnan(towards).any(1)]) - {-1})
    if not kinds:
        return flat
    a, b = (np.stack([p[label == k].mean(0) for k in kinds]) for p in (flat, towards))
    u, _, v = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    return (flat - a.mean(0)) @ (u @ v)


def embed(run: str, output: str | Path | None = None, seed: int = 0) -> dict[str, Any]:
    """Embed the held-out utterances of a run; writes embedding.json, embedding.csv, embedding.png.

    Args:
        run: folder of a run.
        output: folder to write to; None: the run's.

    Returns:
        what `align` returns, and `simulated`. Without ratings of valence and arousal there is no map
        to align with: the picture is drawn all the same, and `unrated` says so.

    Raises:
        ConfigError: not the folder of a finished run, or too few utterances.
    """
    folder, target = Path(run), Path(output or run)
    results = Results.read(folder)
    said = read(folder / "predictions.csv", results.space)[results.fullest.name]
    features = _features(folder)
    if len(features) != len(said):
        raise ConfigError(
            f"{folder}: {FEATURES} has {len(features)} rows, predictions.csv {len(said)}; "
            f"score the run again: erc evaluate {run} -o {run}"
        )
    label = np.where(
        said.tie, -1, said.label
    )  # ties carry no emotion here, lest ratings break them
    plane = list(results.space.plane or ())
    where = said.ratings[:, plane] if plane else np.full((len(said), 2), np.nan)
    rated = ~np.isnan(where).any(1)
    columns = features, where, label, said.speaker, said.id
    if rated.any():
        mapped = Mapped(*(x[rated] for x in columns))
        scale = (results.space.high - results.space.low)[plane] / 4
        found = align(replace(mapped, valence_arousal=mapped.valence_arousal / scale), seed=seed)
    else:
        mapped = Mapped(*columns)
        found = {
            "n": len(mapped),
            "unrated": "nobody rated valence and arousal, so there is no map to align with",
        }
    found |= {"simulated": results.simulated}
    target.mkdir(parents=True, exist_ok=True)
    write_json(target / "embedding.json", found)
    write_map(target, mapped, results.simulated, results.space)
    print(f"{table(found)}\nwrote embedding.json, embedding.csv and embedding.png to {target}")
    return found


def _features(folder: Path) -> np.ndarray:
    """[N, F] of the held-out utterances: as training kept them, or, of an older run, from its model."""
    if (folder / FEATURES).is_file():
        return np.load(folder / FEATURES, allow_pickle=False)
    from erc.studies.experiment import reopen

    parts, _ = reopen(str(folder))
    from erc.training.evaluation import predict_split

    return predict_split(parts, "test")[0].features


def write_map(folder: Path, mapped: Mapped, simulated: bool, space: Space = KEMDY) -> None:
    """embedding.csv (a row an utterance: id, emotion, valence, arousal, x, y) and embedding.png."""
    import pandas as pd

    from erc.scores.plots import embedding_map, png

    placed = plane(mapped.features, mapped.valence_arousal, mapped.label)
    names = np.array([*space.emotions, ""])[mapped.label]
    frame = pd.DataFrame({"id": list(map(guard, mapped.id)), "emotion": names})
    frame[["valence", "arousal"]] = mapped.valence_arousal
    frame[["x", "y"]] = placed
    with atomic(folder / "embedding.csv") as temporary:
        frame.to_csv(temporary, index=False, float_format="%.4f")
    figure = embedding_map(mapped.valence_arousal, placed, names, simulated, space)
    png(figure, folder / "embedding.png")


def table(found: dict[str, Any]) -> str:
    """The numbers for people."""
    if "unrated" in found:
        return f"{found['n']} held-out utterances; {found['unrated']}"
    head = ["", "value", "95 % interval", "chance", "p"]
    rows = []
    for key, name in NAMES.items():
        x = found[key]
        spread = f"{number(x['low'])} – {number(x['high'])}"
        rows.append([name, number(x["value"]), spread, number(x["chance"]), number(x["p"])])
    origin = "SIMULATED corpus: " if found.get("simulated") else ""
    return (
        f"{origin}{found['n']} held-out utterances, {found['speakers']} speakers, "
        f"{found['emotions']} emotions; {found['permutations']} permutations\n\n{grid(head, rows)}"
    )
