"""`erc agreement`: what the raters of a corpus agree on, as text, JSON and heat maps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.files import write_json
from erc.corpora import Corpus, find
from erc.labels import soft, tied
from erc.labels.agreement import (
    DIMENSIONS,
    Agreement,
    agreement,
    pairwise_correlation,
    pairwise_kappa,
)
from erc.labels.raters import learn
from erc.labels.ratings import RatingTable, rating_matrix
from erc.scores.ceiling_intervals import ceiling_intervals


def report(root: str, name: str | None = None, output: str | None = None) -> dict[str, Any]:
    """Print the agreement of a corpus; recordings are not read.

    Args:
        root: corpus folder or manifest; name: its corpus, None: what it looks like.
        output: folder for `agreement.json` and one `agreement-GROUP.png` a rater group.

    Returns:
        What `agreement.json` holds; see `measure`.
    """
    corpus = find(root, name)
    found, summary = measure(corpus)
    print(text(found, summary))
    if output:
        write_json(Path(output) / "agreement.json", found)
        for group, table in rating_matrix(corpus.utterances).items():
            path = Path(output) / f"agreement-{group}.png"
            draw(table, found["outliers"].get(group, {}), path, corpus.simulated)
        print(f"\nwrote {output}")
    return found


def measure(corpus: Corpus) -> tuple[dict[str, Any], Agreement]:
    """Kappa, alpha, pairwise agreement, outliers, weights and ceilings, as plain JSON.

    Pairwise agreement is Cohen's kappa for emotion, Pearson's correlation for valence and arousal.
    Weights are those of `model.target=rater_weighted`, here learned from the whole corpus.
    """
    utterances = corpus.utterances
    summary = agreement(utterances)
    votes = np.array([u.votes for u in utterances if u.votes], float).reshape(-1, 7)
    found: dict[str, Any] = {
        "corpus": corpus.name,
        "simulated": corpus.simulated,
        "utterances": len(utterances),
        "labelled": len(votes),
        "ties": int(tied(soft(votes)).sum()),
        "groups": [dataclasses.asdict(g) for g in summary.groups],
        "pairwise": {},
        "outliers": {g.group: dict(g.outliers) for g in summary.groups if g.outliers},
        "weights": {},
        "ceiling": {k: v._asdict() for k, v in ceiling_intervals(utterances).items()},
    }
    for group, table in rating_matrix(utterances).items():
        pairs = {d: matrix.tolist() for d, matrix in pairwise(table).items()}
        found["pairwise"][group] = {"raters": list(table.raters), **pairs}
    for group, panel in learn(utterances).items():
        found["weights"][group] = {
            d: dict(zip(panel.raters, getattr(panel, d).tolist(), strict=True)) for d in DIMENSIONS
        }
    return found, summary


def pairwise(table: RatingTable) -> dict[str, np.ndarray]:
    """Agreement of every two raters, dimension → [R, R], nan on the diagonal."""
    matrices = {
        "emotion": pairwise_kappa(table.emotion),
        "valence": pairwise_correlation(table.valence),
        "arousal": pairwise_correlation(table.arousal),
    }
    for matrix in matrices.values():
        np.fill_diagonal(matrix, np.nan)
    return matrices


def text(found: dict[str, Any], summary: Agreement) -> str:
    """What the command prints."""
    kind = "SIMULATED corpus" if found["simulated"] else "corpus"
    share = found["ties"] / max(found["labelled"], 1)
    lines = [
        f"{kind} {found['corpus']}: {found['utterances']} utterances, {found['ties']} of "
        f"{found['labelled']} majorities tied ({share:.1%})",
        "",
        str(summary),
    ]
    for group, outliers in found["outliers"].items():
        for dimension, names in outliers.items():
            weights = found["weights"].get(group, {}).get(dimension, {})
            lines += [
                f"weight of {name} in {dimension}: {weights[name]:.2f} "
                f"(median of {group}: {np.median(list(weights.values())):.2f})"
                for name in names
                if name in weights
            ]
    if found["ceiling"]:
        units = next(iter(found["ceiling"].values()))["clusters"]
        lines += ["", f"one rater against the others, 95 % interval over {units} speakers:"]
        lines += [
            f"  {name:12} {x['value']:.3f} [{x['low']:.3f}, {x['high']:.3f}]"
            for name, x in found["ceiling"].items()
            if x["value"] == x["value"]
        ]
    return "\n".join(lines)


def draw(table: RatingTable, outliers: dict[str, Any], path: Path, simulated: bool) -> None:
    """Heat maps of one rater group; outliers' names are set in bold."""
    from erc.base.figures import figure, heat_map, save

    side = 1.2 + 0.24 * len(table.raters)
    fig, axes = figure(1, 3, (side, side), squeeze=False)
    names = {"emotion": "emotion (Cohen's κ)", "valence": "valence (r)", "arousal": "arousal (r)"}
    for ax, (dimension, matrix) in zip(axes[0], pairwise(table).items(), strict=True):
        image = heat_map(ax, matrix, table.raters, marked=outliers.get(dimension, ()))
        ax.set_title(names[dimension])
    fig.colorbar(image, ax=axes[0], shrink=0.8)
    note = " – SIMULATED" if simulated else ""
    fig.suptitle(f"Agreement of every two raters, group {table.group}{note}")
    save(fig, path)
