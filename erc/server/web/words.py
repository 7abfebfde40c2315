"""What the page says, in plain words: the answer as HTML, errors, and the part "About"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from erc.base.cells import guard
from erc.base.space import Dimension, Space
from erc.labels.regions import Regions
from erc.model.folder import USE
from erc.model.folder.heard import Heard
from erc.model.folder.learned import SIMULATED, Learned
from erc.recognizer.explain import Explanation
from erc.recognizer.prediction import Prediction, table
from erc.recognizer.scales import answered, count, number, one_scale, share
from erc.scores.metrics import cccs
from erc.scores.results import Human, Results, System
from erc.scores.selective import TYPICAL
from erc.scores.tables import columns
from erc.server.web.figures import (
    bars,
    colour,
    levels,
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

FEELS = {"valence": "how pleasant", "arousal": "how excited", "dominance": "how strong"}
WAYS = {"speech": "the voice", "text": "the words", "physiology": "physiology"}
CLOSE = 0.1  # between the two most probable emotions


def intro(space: Space, learned: Learned) -> str:
    """The head of the page: what the model has learned to say."""
    names = [name for name in space.names if name not in learned.unlearned]
    feels = _and([FEELS[name] for name in names if name in FEELS])
    others = [name for name in names if name not in FEELS]
    heard = "which emotion raters would likely hear" if learned.rated else "which emotion it hears"
    shown = [heard] * bool(space.emotions)
    shown += [f"{feels} it sounds"] * bool(feels) + [f"its {_and(others)}"] * bool(others)
    return f"""\
<header class="top"><h1>Emotion in speech</h1>
<p>Record or upload someone speaking. You see {", ".join(shown)}, and why the model thinks so.</p>
<p class="private"><span aria-hidden="true">●</span> Recordings stay on the machine that runs this page
and are deleted from it within the hour.</p></header>"""


def empty(space: Space, learned: Learned) -> str:
    """Where the answer will be."""
    names = [name for name in space.names if name not in learned.unlearned]
    gives = ", ".join([*["emotion"] * bool(space.emotions), *names])
    return f"""\
<div class="empty"><p>The answer appears here: {gives} and what they rest on.</p>
</div>"""


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def sentence(p: Prediction, rated: bool = True) -> str:
    """The answer as one sentence, for the live region.

    Args:
        rated: raters taught the model, see `Learned`.

    >>> placed = {"valence": 4.1, "arousal": 3.2}
    >>> p = Prediction("a", "happy", {"happy": 0.62}, placed, 0.62, ("speech",))
    >>> sentence(p)
    'happy, 62\\xa0% of raters would say so; valence 4.1, arousal 3.2, both of 1 to 5'
    """
    emotion = p.reason or "no answer"
    if p.label and p.confidence is not None:
        emotion = f"{p.label}, {percent(p.confidence)} {_of(rated)}"
    return f"{'simulated model: ' * p.simulated}{emotion}{_placed(p)}"


def _of(rated: bool) -> str:
    """What the percentage of an emotion is."""
    return "of raters would say so" if rated else "probable, as this model sees it"


def _placed(p: Prediction) -> str:
    """Values with their scales, to be read aloud."""
    known = answered(p.space, p.dimensions)
    if not known:
        return ""
    shared = one_scale(d for d, _ in known)
    scales = [f" of {_short(d.low)} to {_short(d.high)}" for d, _ in known]
    each = [f"{d.name} {number(d, x)}{'' if shared else s}" for (d, x), s in zip(known, scales)]
    every = {1: "", 2: ", both"}.get(len(known), ", all")
    return f"; {', '.join(each)}{every + scales[0] if shared else ''}"


def _short(x: float) -> str:
    return f"{x:g}".replace("-", "−")


def answer(
    prediction: Prediction,
    regions: Regions,
    threshold: float = 0.0,
    explanation: Explanation | None = None,
    samples: np.ndarray | None = None,
    rated: bool = True,
) -> str:
    """The answer to one utterance.

    Args:
        threshold: below which the recognizer abstains.
        explanation: None: the model cannot tell.
        samples: [T], 16 kHz, to draw; None: nothing was heard.
        rated: raters taught the model, see `Learned`.
    """
    p = prediction
    sources = " and ".join(WAYS[m] for m in p.modalities)
    name, said = "No emotion", f"{safe(p.reason or '').capitalize()}."
    if p.label and p.confidence is not None:
        emotion, share = p.top(2)[1]
        name, runner = p.label, f"then {emotion}, {percent(share)}"
        said = f"<b>{percent(p.confidence)}</b> {_of(rated)}; {runner}."
    said += f" Heard from {sources}." if sources else ""
    head = (
        f'<div class="headline" style="--hue:{colour(p.label, p.space)}"><h2>{name}</h2><p>{said}</p>'
        + "".join(_scale(d, value) for d, value in answered(p.space, p.dimensions))
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
    caption = "Share of raters who would choose each emotion" if rated else "Probabilities"
    charts = bars(p.probabilities, caption, p.space) if p.label else ""
    charts += plane([p], regions)
    pair = f'<div class="pair">{charts}</div>' if charts else ""
    return (
        f'<article class="erc">{banner(p.simulated)}{head}{notes(p, threshold, rated)}{pair}{why}'
        f"{downloads([('Download CSV', 'prediction.csv', 'text/csv', csv)])}</article>"
    )


def banner(simulated: bool) -> str:
    """Above an answer that says nothing of real voices."""
    text = f"<b>Simulated.</b> {SIMULATED[:1].upper()}{SIMULATED[1:]}."
    return f'<p class="banner" role="note">{text}</p>' if simulated else ""


def notes(p: Prediction, threshold: float, rated: bool = True) -> str:
    """What to be careful about."""
    found = []
    if p.label:
        (first, most), (second, next_) = p.top(2)
        if most - next_ < CLOSE:
            found.append(
                f"<b>A close call</b> between <i>{first}</i> and <i>{second}</i>"
                + (": raters would disagree." if rated else ".")
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
            "<b>Not sure.</b> "
            + (
                f"Fewer than {percent(threshold)} of raters would agree on one emotion"
                if rated
                else f"No emotion has {percent(threshold)}"
            )
            + ": better ask a person than rely on this."
        )
    if p.conflict:
        value = {d.name: number(d, x) for d, x in answered(p.space, p.dimensions)}
        found.append(
            f"<b>This does not fit together.</b> Valence {value['valence']} and arousal "
            f"{value['arousal']} lie where raters rarely heard <i>{p.label}</i>. Irony or noise may be "
            "why."
        )
    return "".join(f'<p class="caution" role="note">{text}</p>' for text in found)


def _scale(d: Dimension, value: float) -> str:
    low, high = d.poles
    return (
        f'<div class="scale"><span class="name">{d.name}</span><b>{number(d, value)}</b>'
        f'<span class="ends">{low}</span><span class="rail" aria-hidden="true">'
        f'<i style="left:{100 * share(d, value):.1f}%"></i></span><span class="ends">{high}</span></div>'
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
    hue = colour(found[0][0] if found else None, timeline.space)
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
        f"{bars(dict(found), 'Share of the time spoken', timeline.space) if found else ''}"
        f"{plane(timeline.predictions, regions) or levels(timeline.predictions)}</div>"
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
    space = Space.from_json(config)
    emotion = f"""\
<dt>Emotion</dt><dd>Of the {count(len(space.emotions))} that raters could choose. The percentage \
estimates the share of raters
who would choose it: 60 % means that four in ten would hear something else.</dd>
"""
    if not Learned.of(config).rated:
        emotion = (
            f"<dt>Emotion</dt><dd>Of {count(len(space.emotions))}. No raters taught this model: its "
            "recordings were acted, or it does not say. The percentage is what the model gives.</dd>\n"
        )
    dimensions = "".join(
        f"<dt>{d.name.capitalize()}</dt><dd>{_short(d.low)} {d.poles[0]} … {_short(d.middle)} neither … "
        f"{_short(d.high)} {d.poles[1]}.</dd>\n"
        for d in space.dimensions
        if d.name not in Learned.of(config).unlearned
    )
    return f"""\
<section class="about" aria-label="About"><div><h2>May not be used for</h2>
<p>Not for: {safe(rules)}.</p><p>{safe(use.strip())}</p></div>
<div><h2>What the numbers mean</h2><dl>
{emotion * bool(space.emotions)}{dimensions}<dt>Points</dt>
<dd>Percentage points of the emotion's probability. What the voice and the words
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
        corpora = ", ".join(Heard.of(config).corpora)
        rows["trained on"] = corpora or "not known; this model folder does not say"
    for name in ("licences", "notes"):  # of a published model
        if isinstance(said := config["meta"].get(name), list):
            rows[name] = "; ".join(map(str, said))
    lines = "".join(f"<dt>{k}</dt><dd>{safe(v)}</dd>" for k, v in rows.items())
    return f"<dl>{lines}</dl>{_scores(results) if results else ''}"


def _scores(results: Results) -> str:
    """The system that sees most, and one rater; 1 is perfect."""
    shown: dict[str, System | Human] = {results.fullest.name: results.fullest}
    if results.human.scores:
        shown["one rater"] = results.human  # simulated ones, where the speech is
    titles = columns(results.space)
    told = ["uar", "f1_macro"] * bool(results.space.emotions) + list(cccs(results.space))
    head = "".join(f'<th scope="col">{titles[m]}</th>' for m in told)
    rows = "".join(
        f'<tr><th scope="row">{safe(name)}</th>'
        + "".join(f"<td>{_number(row.scores.get(m))}</td>" for m in told)
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
