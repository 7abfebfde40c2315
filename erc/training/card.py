"""The model card: what a model was made of, how good it is, and what it must not be used for.

Every number is one that the run wrote; what it did not measure is said to be unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from erc.base import effort
from erc.base.space import Space
from erc.base.terms import WORD, Terms, all_of
from erc.model.folder import USE
from erc.scores.breakdown import FEW, Group, breakdown, metrics_of
from erc.scores.metrics import cccs
from erc.scores.results import Results, anywhere
from erc.scores.scored import read
from erc.scores.tables import columns, grid, number, results_table

KOREAN = ("kemdy", "aihub")


def card(
    results: Results,
    config: dict[str, Any],
    run: str | Path | None = None,
    spent: dict[str, Any] | None = None,
    terms: Sequence[Terms] = (),
) -> str:
    """The text of a model folder's README.md, with the metadata that the hub reads.

    It travels with the model, so it names corpora and encoders without the folders they lie in.

    Args:
        config: the resolved configuration of the run.
        run: its folder, for `data.json` and `predictions.csv`; None: no sizes, no groups.
        terms: of what it was made from, see `erc.training.ledger`.
        spent: seconds, device, precision of the training, see `erc.base.effort`.
    """
    model, results = config["model"], results.public()
    names = _inputs(model)
    encoders = [e for e in (model["speech_encoder"], model["text_encoder"]) if e]
    sections = [
        f"# {', '.join(['Emotion', *results.space.names])} from {' and '.join(names)}",
        answers(results.space),
        _made_of(results, config, encoders, spent, terms),
        _sizes(Path(run)) if run else "",
        _scores(results),
        _groups(results, Path(run)) if run else "",
        USE,
    ]
    head = metadata(results, config, names, encoders)
    return f"---\n{head.strip()}\n---\n\n" + "\n\n".join(filter(None, sections))


def answers(space: Space) -> str:
    """What the model answers with.

    >>> from erc.base.space import KEMDY
    >>> print(answers(KEMDY))
    7 emotions (surprise, fear, angry, neutral, happy, sad, disgust) as a distribution over raters;
    valence (1 negative … 5 positive), arousal (1 calm … 5 excited).
    """
    scales = ", ".join(
        f"{d.name} ({d.low:g} {d.poles[0]} … {d.high:g} {d.poles[1]})" for d in space.dimensions
    )
    emotions = f"{len(space.emotions)} emotions ({', '.join(space.emotions)})"
    return f"{emotions} as a distribution over raters;\n{scales or 'no dimension'}."


def metadata(
    results: Results, config: dict[str, Any], names: list[str], encoders: list[str]
) -> str:
    """The YAML at the head of the card."""
    from huggingface_hub import EvalResult, ModelCardData

    speech = bool(config["model"]["speech_encoder"])
    task = "audio-classification" if speech else "text-classification"
    system = results.fullest
    where = "simulated speech" if results.simulated else Path(results.corpus).name
    kinds = {"f1_macro": "f1", "uar": "recall"} | dict.fromkeys(cccs(results.space), "ccc")
    titles = columns(results.space)
    found = [
        EvalResult(
            task_type=task,
            dataset_type="simulated" if results.simulated else "corpus",
            dataset_name=f"{where}, fold {results.fold} of {results.folds}",
            metric_type=kind,
            metric_name=f"{titles[key]} ({system.name})",
            metric_value=round(system[key].value, 4),
        )
        for key, kind in kinds.items()
        if number(system[key].value) != "–"
    ]
    tags = ["emotion-recognition", *(["valence-arousal"] * bool(results.space.plane))]
    tags += ["simulated-data"] * results.simulated
    options: dict[str, Any] = {
        "license": "other",
        "license_name": "see-licences-below",
        "library_name": "erc",
        "pipeline_tag": task,
        "tags": [*(["speech-emotion-recognition"] * speech), *tags],
        "metrics": ["f1", "recall", "accuracy"],
    }
    known = f"{results.corpus} {results.store}".lower()
    if any(word in known for word in KOREAN):
        options["language"] = ["ko"]
    if bases := [e for e in encoders if re.fullmatch(r"[\w-]+/[\w.-]+", e)]:
        options["base_model"] = bases
    if found:
        options |= {"model_name": f"erc, {' + '.join(names)}", "eval_results": found}
    return ModelCardData(**options).to_yaml()


def _inputs(model: dict[str, Any]) -> list[str]:
    named = {
        "speech_encoder": "speech", "text_encoder": "transcript", "physiology_encoder": "physiology",
    }  # fmt: skip
    return [name for key, name in named.items() if model.get(key)]


def _made_of(
    results: Results,
    config: dict[str, Any],
    encoders: list[str],
    spent: dict[str, Any] | None,
    terms: Sequence[Terms],
) -> str:
    model = config["model"]
    body = [f"physiology: {model['physiology_encoder']}"] * bool(model.get("physiology_encoder"))
    origin = "simulated speech (no person was recorded)"
    target = model.get("target") or ("PeakL" if model["use_peakl"] else "votes")
    carried = "\n".join(f"  - {one}" for one in terms or [Terms("what it was made from")])
    versions = ", ".join(f"{k} {v}" for k, v in results.versions.items())
    return f"""\
## Made of

- encoders: {", ".join([*map(anywhere, encoders), *body])}; fusion: {model["fusion"]}
- data: {origin if results.simulated else results.corpus}
- target: {target}; loss {model["cls_loss"]} + {model["reg_loss"]}
- licences carried along:
{carried}
- commercial use: {WORD[all_of(terms)]}
- training took: {effort.words(spent)}
- with: {versions or "unknown versions"}"""


def _sizes(run: Path) -> str:
    try:
        sides = json.loads((run / "data.json").read_text("utf-8"))["sides"]
        rows = [
            [side, str(s["n"]), f"{s['minutes']:.1f}", str(s["speakers"])]
            for side, s in sides.items()
        ]
    except (OSError, ValueError, KeyError):
        return ""
    return "## Data\n\n```\n" + grid(["", "utterances", "minutes", "speakers"], rows) + "\n```"


def _scores(results: Results) -> str:
    optimistic = (
        " (the held-out fold also stopped the training: slightly optimistic)"
        if results.protocol == "paper"
        else ""
    )
    return f"""\
## Scores

```
{results_table(results)}
```

Fold {results.fold} of {results.folds}, protocol `{results.protocol}`{optimistic}.
Intervals are over speakers. One rater is scored against the others, panels against those outside them,
on the same utterances; it takes so many raters to do as well as the model as it is worth.
{calibration(results)}"""


def calibration(results: Results) -> str:
    """What may be said of the probabilities."""
    if not results.calibrated:
        return (
            "Probabilities are not calibrated: no temperature was fitted on other data (it is 1)."
        )
    return (
        f"Probabilities are calibrated with temperature {results.temperature:.3f}, fitted to\n"
        "the shares of votes on the validation side: ECE votes says how far they are from those,\n"
        "ECE majority how far confidence is from being right."
    )


def _groups(results: Results, run: Path) -> str:
    """Scores by gender, and how far the speakers of the test side lie apart."""
    file = run / "predictions.csv"
    if not file.is_file():
        return ""
    system = results.fullest.name
    groups = breakdown(read(file, results.space)[system], ("gender", "speaker"))
    gaps, titles = metrics_of(results.space), columns(results.space)
    people = [g for g in groups if g.kind == "speaker"]
    shown = [_group_row(g) for g in groups if g.kind == "gender"]
    lines = [
        "## For whom",
        "",
        f"`{system}` on the test side; 95 % intervals over speakers, or over utterances where a "
        f"group\nhas fewer than {FEW} speakers (too narrow then).",
        "",
    ]
    head = ["", "utterances", "speakers", *(titles[m] for m in gaps)]
    if shown:
        if len(shown) > 1:
            shown.append(["largest gap", "", "", *(_gap(groups, m) for m in gaps)])
        lines += ["```", grid(head, shown), "```", ""]
    else:
        lines += ["The corpus does not give genders: gaps between them are unknown.", ""]
    if len(people) >= FEW:
        spread = [_range(people, m) for m in gaps]
        lines.append(
            f"Over {len(people)} speakers, lowest and highest: "
            + "; ".join(f"{titles[m]} {text}" for m, text in zip(gaps, spread))
            + "."
        )
    lines.append("Age, dialect, health and microphones were not measured.")
    return "\n".join(lines)


def _group_row(group: Group) -> list[str]:
    values = list(group.scores.values())
    return [
        {"F": "women", "M": "men"}.get(group.name, group.name),
        str(group.n),
        str(group.speakers),
        *(f"{number(v.value)} ({number(v.low)}–{number(v.high)})" for v in values),
    ]


def _gap(groups: list[Group], metric: str) -> str:
    values = [g.scores[metric].value for g in groups if g.kind == "gender"]
    return number(float(np.ptp(values)))


def _range(people: list[Group], metric: str) -> str:
    values = np.array([g.scores[metric].value for g in people], float)
    values = values[~np.isnan(values)]
    return f"{values.min():.3f}–{values.max():.3f}" if len(values) else "–"
