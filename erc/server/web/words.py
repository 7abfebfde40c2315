"""What the page says, in plain words: the answer as HTML, errors, and the part "About"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from erc.base.cells import guard
from erc.base.space import KEMDY
from erc.labels.regions import Regions
from erc.model.folder import USE
from erc.model.folder.learned import SIMULATED
from erc.recognizer.explain import Explanation
from erc.recognizer.prediction import Prediction, table
from erc.scores.results import Human, Results, System
from erc.scores.selective import TYPICAL
from erc.scores.tables import columns
from erc.server.web.figures import (
    bars,
    colour,
    moments,
    percent,
    plane,
    safe,
    seconds,
    shares,
    words,
)
from erc.server.web.timeline import downloads, exports, strips, turns_table
from erc.timeline import Timeline

INTRO = """\
<header class="top"><h1>Emotion in speech</h1>
<p>Record or upload someone speaking. You see which emotion raters would likely hear, how pleasant and
how excited it sounds, and why the model thinks so.</p>
<p class="private"><span aria-hidden="true">●</span> Recordings stay on the machine that runs this page
and are deleted from it within the hour.</p></header>"""
EMPTY = """\
<div class="empty"><p>The answer appears here: emotion, valence, arousal and what they rest on.</p>
</div>"""
WAYS = {"speech": "the voice", "text": "the words", "physiology": "physiology"}
CLOSE = 0.1  # between the two most probable emotions
ENDS = {"valence": ("negative", "positive"), "arousal": ("calm", "excited")}
SCORES = ("uar", "f1_macro", "ccc_valence", "ccc_arousal")


def sentence(p: Prediction) -> str:
    """The answer as one sentence, for the live region.

    >>> p = Prediction("a", "happy", {"happy": 0.62}, 4.1, 3.2, 0.62, ("speech",))
    >>> sentence(p)
    'happy, 62\\xa0% of raters would say so; valence 4.1, arousal 3.2, both of 1 to 5'
    """
    emotion = p.reason or "no answer"
    if p.label and p.confidence is not None:
        emotion = f"{p.label}, {percent(p.confidence)} of raters would say so"
    placed = [f"{name} {value:.1f}" for name, value in p.dimensions.items()]
    scale = f"; {', '.join(placed)}{', both' * (len(placed) == 2)} of 1 to 5" if placed else ""
    return f"{'simulated model: ' * p.simulated}{emotion}{scale}"


def answer(
    prediction: Prediction,
    regions: Regions,
    threshold: float = 0.0,
    explanation: Explanation | None = None,
    samples: np.ndarray | None = None,
) -> str:
    """The answer to one utterance.

    Args:
        threshold: below which the recognizer abstains.
        explanation: None: the model cannot tell.
        samples: [T], 16 kHz, to draw; None: nothing was heard.
    """
    p = prediction
    sources = " and ".join(WAYS[m] for m in p.modalities)
    name, said = "No emotion", f"{safe(p.reason or '').capitalize()}."
    if p.label and p.confidence is not None:
        emotion, share = p.top(2)[1]
        name, runner = p.label, f"then {emotion}, {percent(share)}"
        said = f"<b>{percent(p.confidence)} of raters</b> would say so; {runner}."
    said += f" Heard from {sources}." if sources else ""
    head = (
        f'<div class="headline" style="--hue:{colour(p.label)}"><h2>{name}</h2><p>{said}</p>'
        + "".join(_scale(x, *ENDS[x], value) for x, value in p.dimensions.items())
        + "</div>"
    )
    why = ""
    if explanation is not None and p.label:
        why = shares(p, explanation.nothing, explanation.shares)
        why = f'<section class="part">{why}</section>' if len(explanation.shares) > 1 else ""
        why += words(explanation.words, p.label)
        why += moments(samples, explanation.time, p.label) if samples is not None else ""
    why = f'<h3>Why this answer</h3><div class="why">{why}</div>' if why else ""
    csv = table([p]).map(lambda x: guard(x) if isinstance(x, str) else x).to_csv(index=False)
    chart = bars(p.probabilities, "Share of raters who would choose each emotion")
    pair = (
        f'<div class="pair">{chart}{plane([p], regions)}</div>' if p.label or p.dimensions else ""
    )
    return (
        f'<article class="erc">{banner(p.simulated)}{head}{notes(p, threshold)}{pair}{why}'
        f"{downloads([('Download CSV', 'prediction.csv', 'text/csv', csv)])}</article>"
    )


def banner(simulated: bool) -> str:
    """Above an answer that says nothing of real voices."""
    text = f"<b>Simulated.</b> {SIMULATED[:1].upper()}{SIMULATED[1:]}."
    return f'<p class="banner" role="note">{text}</p>' if simulated else ""


def notes(p: Prediction, threshold: float) -> str:
    """What to be careful about."""
    found = []
    if p.label:
        (first, most), (second, next_) = p.top(2)
        if most - next_ < CLOSE:
            found.append(
                f"<b>A close call</b> between <i>{first}</i> and <i>{second}</i>: "
                "raters would disagree."
            )
    if never := ", ".join(e for e, share in p.probabilities.items() if not share):
        found.append(f"<b>Not offered:</b> {never}. The training data had none of it.")
    if p.narrow_band and p.band_hz is not None:
        found.append(
            f"<b>Like a telephone.</b> The recording holds nothing above {p.band_hz / 1000:.1f} kHz; "
            "the model learned from fuller sound."
        )
    strange = [WAYS[m] for m, x in (p.typicality or {}).items() if x is not None and x < TYPICAL]
    if strange:
        found.append(
            f"<b>Unlike the training data.</b> Of the recordings of other speakers fewer than "
            f"{percent(TYPICAL)} are as strange to the model in {' and '.join(strange)}."
        )
    if p.abstain and not (strange and (p.confidence or 0) >= threshold):
        found.append(
            f"<b>Not sure.</b> Fewer than {percent(threshold)} of raters would agree on one emotion: "
            "better ask a person than rely on this."
        )
    if p.conflict:
        found.append(
            f"<b>This does not fit together.</b> Valence {p.valence:.1f} and arousal {p.arousal:.1f} "
            f"lie where raters rarely heard <i>{p.label}</i>. Irony or noise may be why."
        )
    return "".join(f'<p class="caution" role="note">{text}</p>' for text in found)


def _scale(name: str, low: str, high: str, value: float) -> str:
    return (
        f'<div class="scale"><span class="name">{name}</span><b>{value:.1f}</b>'
        f'<span class="ends">{low}</span><span class="rail" aria-hidden="true">'
        f'<i style="left:{25 * (value - 1):.1f}%"></i></span><span class="ends">{high}</span></div>'
    )


def timeline_answer(timeline: Timeline, regions: Regions, stem: str, unused: bool) -> str:
    """The answer to a long recording.

    Args:
        stem: of the files to download.
        unused: a transcript without times was given.
    """
    found = timeline.shares()
    count, most = len(timeline.turns), ", ".join(f"{e} {percent(s)}" for e, s in found[:3])
    if not timeline.predictions:
        return failed("No speech was found in this recording, so there is nothing to answer.")
    hue = colour(found[0][0] if found else None)
    head = (
        f'<div class="headline" style="--hue:{hue}"><h2>{mood(timeline)}</h2>'
        f"<p><b>{count} turn{'s' * (count != 1)} of speech</b> in {seconds(timeline.duration)}"
        f"{f': {most} of the time spoken' if most else ''}.</p></div>"
    )
    hint = (
        '<p class="caution" role="note">The transcript was not used: a long recording needs one with '
        "times. Paste subtitles (SRT or WebVTT) instead.</p>"
        if unused
        else ""
    )
    return (
        f'<article class="erc">{banner(timeline.simulated)}{head}{hint}{strips(timeline)}'
        '<div class="pair">'
        f"{bars(dict(found), 'Share of the time spoken')}{plane(timeline.predictions, regions)}</div>"
        f"{turns_table(timeline)}{exports(timeline, stem)}</article>"
    )


def mood(timeline: Timeline) -> str:
    """Of the time spoken: one emotion if it takes half of it, else that they are mixed."""
    found = timeline.shares()
    if not found:
        return "no emotion" if timeline.predictions else "no speech"
    return f"mostly {found[0][0]}" if found[0][1] >= 0.5 else "mixed"


def failed(message: str) -> str:
    """An error as a kind sentence."""
    first = message.partition(" ")[0]
    text = message[:1].upper() + message[1:] if first.isalpha() else message  # not a file's name
    text += "" if message.endswith((".", "!", "?")) else "."
    return f'<div class="failed"><h2>That did not work</h2><p>{safe(text)}</p></div>'


def busy(done: float, total: float, left: float | None = None) -> str:
    """Progress of a long recording."""
    share = done / total if total else 0.0
    wait = f"about {seconds(left) if left >= 60 else f'{left:.0f} s'} left" if left else ""
    return (
        f'<div class="busy"><p>Listening … {wait}</p><div class="rail" role="progressbar" '
        f'aria-label="Listening" aria-valuenow="{100 * share:.0f}" aria-valuemin="0" '
        f'aria-valuemax="100"><i style="width:{100 * share:.1f}%"></i></div></div>'
    )


def about(config: Mapping[str, Any], takes: tuple[str, ...]) -> str:
    """What the numbers mean, what the model was trained on, what it may not be used for."""
    use, _, forbidden = USE.removeprefix("## Use").replace("*", "").partition("Not for:")
    rules = forbidden.strip().rstrip(".")
    return f"""\
<section class="about" aria-label="About"><div><h2>May not be used for</h2>
<p>Not for: {safe(rules)}.</p><p>{safe(use.strip())}</p></div>
<div><h2>What the numbers mean</h2><dl>
<dt>Emotion</dt><dd>Of the seven that raters could choose. The percentage estimates the share of raters
who would choose it: 60 % means that four in ten would hear something else.</dd>
<dt>Valence</dt><dd>1 negative … 3 neither … 5 positive.</dd>
<dt>Arousal</dt><dd>1 calm … 5 excited.</dd>
<dt>Points</dt><dd>Percentage points of the emotion's probability. What the voice and the words
each add are Shapley shares: together they make the answer.</dd></dl></div>
<div><h2>The model</h2>{_model(config, takes)}</div></section>"""


def _model(config: Mapping[str, Any], takes: tuple[str, ...]) -> str:
    found = config["meta"].get("results")
    results = Results.from_json(found, "config.json of the model") if found else None
    rows = {"takes": " and ".join({"text": "transcript"}.get(m, m) for m in takes)}
    if results:
        made = "simulated speech; no person was recorded, so it knows nothing of real voices"
        strict = " it never heard" * (results.protocol == "strict")
        rows["trained on"] = made if results.simulated else results.corpus
        rows["tested on"] = f"{results.n} utterances of {results.speakers} speakers{strict}"
    else:
        rows["trained on"] = "not known; this model folder does not say"
    lines = "".join(f"<dt>{k}</dt><dd>{safe(v)}</dd>" for k, v in rows.items())
    return f"<dl>{lines}</dl>{_scores(results) if results else ''}"


def _scores(results: Results) -> str:
    """The system that sees most, and one rater; 1 is perfect."""
    shown: dict[str, System | Human] = {results.fullest.name: results.fullest}
    if results.human.scores:
        shown["one rater"] = results.human  # simulated ones, where the speech is
    head = "".join(f'<th scope="col">{columns(KEMDY)[m]}</th>' for m in SCORES)
    rows = "".join(
        f'<tr><th scope="row">{safe(name)}</th>'
        + "".join(f"<td>{_number(row.scores.get(m))}</td>" for m in SCORES)
        + "</tr>"
        for name, row in shown.items()
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Scores"><table class="turns"><thead>'
        f"<tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="note">1 is perfect. UAR and F1: emotions; CCC: agreement with the raters\' mean.</p>'
    )


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.2f}"
