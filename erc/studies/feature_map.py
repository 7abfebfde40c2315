"""The model's feature space beside the raters' valence–arousal map: a table, a figure, numbers.

`erc.scores.alignment` measures; UMAP only draws.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.cells import guard
from erc.base.emotions import EMOTIONS
from erc.base.errors import ConfigError
from erc.base.files import atomic, write_json
from erc.scores.alignment import Space, align
from erc.scores.tables import grid, number

NAMES = {
    "procrustes_r2": "Procrustes R² of the emotions' centroids",
    "rsa": "Spearman of pairwise distances (RSA)",
}


def umap(features: np.ndarray, towards: np.ndarray, label: np.ndarray, seed: int = 0) -> np.ndarray:
    """Features [N, F] in two dimensions, turned (not bent) so that emotions lie as raters laid them.

    Args:
        towards: [N, 2] rated map; the emotions' centroids decide rotation, mirroring and scale.

    Raises:
        ConfigError: umap-learn is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tensorflow is not installed, n_jobs is 1 by the seed
            from umap import UMAP

            near = min(15, len(features) - 1)
            flat = UMAP(n_neighbors=near, random_state=seed, n_jobs=1).fit_transform(features)
    except ModuleNotFoundError:
        raise ConfigError("the figure needs umap-learn: pip install 'erc[report]'") from None
    kinds = sorted(set(label) - {-1})
    a, b = (np.stack([p[label == k].mean(0) for k in kinds]) for p in (flat, towards))
    u, _, v = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    return (flat - a.mean(0)) @ (u @ v)


def embed(run: str, output: str | Path | None = None, seed: int = 0) -> dict[str, Any]:
    """Embed the held-out utterances of a run; writes embedding.json, embedding.csv, embedding.png.

    Args:
        run: folder of a run; its corpus must be there.
        output: folder to write to; None: the run's.

    Returns:
        what `align` returns, and `simulated`.
    """
    from erc.studies.experiment import reopen

    parts, _ = reopen(run)
    from erc.training.evaluation import predict_split

    data = parts.sides["test"]
    [said] = predict_split(parts, "test")
    space = of_split(data, said.features)
    found = align(space, seed=seed) | {"simulated": data.simulated}
    folder = Path(output or run)
    write_json(folder / "embedding.json", found)
    write_map(folder, space, data.simulated, seed)
    print(f"{table(found)}\nwrote embedding.json, embedding.csv and embedding.png to {folder}")
    return found


def of_split(data: Any, features: np.ndarray) -> Space:
    """The rated utterances of a split; ties carry no emotion here, lest ratings break them."""
    rows = data.rows
    said = data.labels
    tie = said.tied[rows] | np.isnan(said.hard[rows]).any(-1)
    label = np.where(tie, -1, np.nan_to_num(said.hard[rows]).argmax(-1))
    va = said.valence_arousal[rows]
    names = [data.store.column(c)[rows] for c in ("speaker", "id")]
    rated = ~np.isnan(va).any(-1)
    return Space(*(x[rated] for x in (features, va, label, *names)))


def write_map(folder: Path, space: Space, simulated: bool, seed: int) -> None:
    """embedding.csv (a row an utterance: id, emotion, valence, arousal, x, y) and embedding.png."""
    import pandas as pd

    from erc.scores.plots import embedding_map, png

    placed = umap(space.features, space.valence_arousal, space.label, seed)
    names = np.array([*EMOTIONS, ""])[space.label]
    frame = pd.DataFrame({"id": list(map(guard, space.id)), "emotion": names})
    frame[["valence", "arousal"]] = space.valence_arousal
    frame[["x", "y"]] = placed
    with atomic(folder / "embedding.csv") as temporary:
        frame.to_csv(temporary, index=False, float_format="%.4f")
    png(embedding_map(space.valence_arousal, placed, names, simulated), folder / "embedding.png")


def table(found: dict[str, Any]) -> str:
    """The numbers for people."""
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
