"""What the raters of a corpus agree on, by rater group: text, JSON, heat maps (`erc agreement`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.files import write_json
from erc.base.space import KEMDY, Space
from erc.corpora import Corpus, find
from erc.corpora.utterance import Utterance
from erc.labels import soft, tied
from erc.labels.agreement import (
    LEVELS,
    alpha_from_counts,
    fleiss_kappa,
    krippendorff_alpha,
    outlier_raters,
    pairwise,
)
from erc.labels.raters import learn
from erc.labels.ratings import RatingTable, rating_matrix, value_counts, vote_matrix
from erc.scores.one_rater import anonymous_votes, named_raters, one_rater
from erc.scores.one_rater_intervals import one_rater_intervals


@dataclass(frozen=True)
class GroupAgreement:
    """Agreement of one rater group; nan: undefined, or only votes are known."""

    group: str
    raters: int  # 0: anonymous votes
    utterances: int
    complete: int  # utterances that every rater labelled: those of `kappa` (emotion)
    kappa: dict[str, float]  # dimension → Fleiss' kappa, values taken as classes
    alpha: dict[str, float]  # "emotion nominal", "valence ordinal", "valence interval", …
    outliers: dict[str, Any]
    one_rater: dict[str, float]


@dataclass(frozen=True)
class Agreement:
    """Summary over the rater groups of a corpus; print it."""

    groups: tuple[GroupAgreement, ...]
    one_rater: dict[str, float]  # over all raters of all groups
    space: Space = KEMDY

    def __str__(self) -> str:
        if not self.groups:
            return "no utterance has two ratings: agreement is undefined"
        columns = [_column(g, self.space) for g in self.groups]
        width = max(len(name) for name in columns[0])
        names = [n for n in columns[0] if {c[n] for c in columns} != {"–"}]
        rows = [[name.ljust(width), *(c[name] for c in columns)] for name in names]
        sizes = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(x.rjust(w) for x, w in zip(r, sizes, strict=True)) for r in rows]
        for g in self.groups:
            for dimension, names in g.outliers.items():
                if names:
                    lines.append(f"unlike the others in {dimension}, {g.group}: {', '.join(names)}")
        return "\n".join(lines)


def agreement(utterances: Iterable[Utterance], space: Space = KEMDY) -> Agreement:
    """Kappa, alpha, outliers and one rater of every rater group.

    Utterances that carry counts of votes but no single ratings form a group "<corpus> votes", with
    nominal alpha and one anonymous vote.
    """
    utterances = list(utterances)
    groups = [_of_table(table) for table in rating_matrix(utterances, space).values()]
    votes = vote_matrix(utterances)
    groups += [_of_votes(f"{name} votes", x, space) for name, x in votes.items()]
    return Agreement(tuple(groups), one_rater(utterances, space), space)


def _of_table(table: RatingTable) -> GroupAgreement:
    kappa, alpha = {}, {}
    for dimension, ratings in table.answers.items():
        complete = ratings[:, ~np.isnan(ratings).any(0)]
        kappa[dimension] = fleiss_kappa(value_counts(complete)[0])
        for level in ("nominal",) if dimension == "emotion" else LEVELS:
            alpha[f"{dimension} {level}"] = krippendorff_alpha(ratings, level)
    everyone = int((~np.isnan(table.emotion)).all(0).sum())
    sizes = len(table.raters), len(table.ids), everyone
    return GroupAgreement(
        table.group, *sizes, kappa, alpha, outlier_raters(table), named_raters([table])
    )


def _of_votes(name: str, votes: np.ndarray, space: Space) -> GroupAgreement:
    even = np.ptp(votes.sum(1)) == 0
    kappa = {"emotion": fleiss_kappa(votes) if even else np.nan}
    alpha = {"emotion nominal": alpha_from_counts(votes)}
    complete = len(votes) if even else 0
    alone = anonymous_votes(votes, space)
    return GroupAgreement(name, 0, len(votes), complete, kappa, alpha, {}, alone)


def _column(g: GroupAgreement, space: Space) -> dict[str, str]:
    """One printed column: row name → text."""
    column = {"": g.group, "raters": str(g.raters or "?"), "utterances": str(g.utterances)}
    for dimension in ("emotion", *space.names):
        column[f"Fleiss kappa, {dimension}"] = _number(g.kappa.get(dimension))
    for name in ("emotion nominal", *(f"{d} {x}" for d in space.names for x in LEVELS)):
        column[f"Krippendorff alpha, {name}"] = _number(g.alpha.get(name))
    ccc = [f"ccc_{d}" for d in space.names]
    for name in ("accuracy", "uar", "f1_weighted", "f1_macro", *ccc):
        column[f"one rater, {name}"] = _number(g.one_rater[name], g.one_rater[f"{name}_std"])
    return column | {"one rater, ties left out": f"{g.one_rater['ties']:.0f}"}


def _number(x: float | None, std: float = np.nan) -> str:
    if x is None or np.isnan(x):
        return "–"
    return f"{x:.3f}" if np.isnan(std) else f"{x:.3f} ± {std:.3f}"


def report(
    root: str, name: str | None = None, output: str | None = None, **options: Any
) -> dict[str, Any]:
    """Print the agreement of a corpus; recordings are not read.

    Args:
        root: corpus folder or manifest; name: its corpus, None: what it looks like.
        output: folder for `agreement.json` and one `agreement-GROUP.png` a rater group.
        options: those of the corpus, see `erc.corpora.load`.

    Returns:
        What `agreement.json` holds; see `measure`.
    """
    corpus = find(root, name, **options)
    found, summary = measure(corpus)
    print(text(found, summary))
    if output:
        write_json(Path(output) / "agreement.json", found)
        for group, table in rating_matrix(corpus.utterances, corpus.space).items():
            path = Path(output) / f"agreement-{group}.png"
            draw(table, found["outliers"].get(group, {}), path, corpus.simulated)
        print(f"\nwrote {output}")
    return found


def measure(corpus: Corpus) -> tuple[dict[str, Any], Agreement]:
    """Kappa, alpha, pairwise agreement, outliers, weights and one rater, as plain JSON.

    Pairwise agreement is Cohen's kappa for emotion, Pearson's correlation for dimensions.
    Weights are those of `model.target=rater_weighted`, here learned from the whole corpus.
    """
    utterances, space = corpus.utterances, corpus.space
    summary = agreement(utterances, space)
    votes = np.array([u.votes for u in utterances if u.votes], float)
    votes = votes.reshape(-1, len(space.emotions))
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
        "one_rater": {k: v._asdict() for k, v in one_rater_intervals(utterances, space).items()},
    }
    for group, table in rating_matrix(utterances, space).items():
        pairs = {d: matrix.tolist() for d, matrix in pairwise(table).items()}
        found["pairwise"][group] = {"raters": list(table.raters), **pairs}
    for group, panel in learn(utterances, space).items():
        found["weights"][group] = {
            d: dict(zip(panel.raters, weights.tolist(), strict=True))
            for d, weights in panel.weights.items()
        }
    return found, summary


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
    if found["one_rater"]:
        units = next(iter(found["one_rater"].values()))["clusters"]
        lines += ["", f"one rater against the others, 95 % interval over {units} speakers:"]
        lines += [
            f"  {name:12} {x['value']:.3f} [{x['low']:.3f}, {x['high']:.3f}]"
            for name, x in found["one_rater"].items()
            if x["value"] == x["value"]
        ]
    return "\n".join(lines)


def draw(table: RatingTable, outliers: dict[str, Any], path: Path, simulated: bool) -> None:
    """Heat maps of one rater group; outliers' names are set in bold."""
    from erc.base.figures import figure, heat_map, save

    side = 1.2 + 0.24 * len(table.raters)
    pairs = pairwise(table)
    fig, axes = figure(1, len(pairs), (side, side), squeeze=False)
    for ax, (dimension, matrix) in zip(axes[0], pairs.items(), strict=True):
        image = heat_map(ax, matrix, table.raters, marked=outliers.get(dimension, ()))
        ax.set_title(f"{dimension} ({'Cohen’s κ' if dimension == 'emotion' else 'r'})")
    fig.colorbar(image, ax=axes[0], shrink=0.8)
    note = " – SIMULATED" if simulated else ""
    fig.suptitle(f"Agreement of every two raters, group {table.group}{note}")
    save(fig, path)
