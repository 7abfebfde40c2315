"""What the page draws of one answer: HTML and SVG strings, each with its numbers as text.

Shapes are SVG without words, stretched to the width there is; words are HTML, so that they stay
legible on a phone and are read aloud. Colours that are no emotion come from `web.css`.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np

from erc.base.audio import SAMPLE_RATE
from erc.base.emotions import EMOTIONS
from erc.base.figures import COLOURS
from erc.labels.regions import Regions
from erc.recognizer.prediction import Prediction

BINS = 200  # of a waveform
NAMES = {"speech": "the voice", "text": "the words", "physiology": "the body"}


def safe(text: object) -> str:
    """Text as HTML that no template engine finds anything in.

    >>> safe("<b>${1}")
    '&lt;b&gt;&#36;&#123;1}'
    """
    return html.escape(str(text)).replace("$", "&#36;").replace("{", "&#123;")


def percent(p: float) -> str:
    """A share in words: never 0 % or 100 % of what is only nearly so.

    >>> percent(0.624), percent(0.001), percent(0.999)
    ('62\xa0%', '<\xa01\xa0%', '>\xa099\xa0%')
    """
    text = f"{100 * p:.0f} %"
    if 0 < p < 0.005 or 0.995 < p < 1:
        text = "< 1 %" if p < 0.5 else "> 99 %"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def points(difference: float) -> str:
    """A difference of probabilities, in percentage points.

    >>> points(0.28), points(-0.014), points(0.001)
    ('+28', '−1', '0')
    """
    rounded = round(100 * difference)
    return f"{rounded:+d}".replace("-", "−") if rounded else "0"


def seconds(t: float) -> str:
    """
    >>> seconds(3.21), seconds(30), seconds(75.4), seconds(3675)
    ('3.2 s', '30 s', '1:15', '1:01:15')
    """
    minutes, rest = divmod(int(t), 60)
    if not minutes:
        return f"{t:.1f} s".replace(".0", "")
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def dot(emotion: str | None) -> str:
    """The emotion's colour; says nothing to a screen reader, its name stands beside it."""
    return f'<i class="dot" style="background:{colour(emotion)}" aria-hidden="true"></i>'


def colour(emotion: str | None) -> str:
    """Of an emotion; of no emotion, grey."""
    return COLOURS[emotion] if emotion else "#8A9099"


def bars(shares: Mapping[str, float], caption: str) -> str:
    """A bar for each that was learned, largest first: a table, to be read cell by cell."""
    rows = "".join(
        f'<tr><th scope="row">{dot(e)}{e}</th><td class="track" aria-hidden="true"><i style="'
        f'width:{100 * p:.1f}%;background:{COLOURS[e]}"></i></td><td class="number">'
        f"{percent(p)}</td></tr>"
        for e, p in sorted(shares.items(), key=lambda item: -item[1])
        if p
    )
    return f'<table class="bars"><caption>{caption}</caption><tbody>{rows}</tbody></table>'


def plane(predictions: Sequence[Prediction], regions: Regions) -> str:
    """Valence to the right, arousal upwards; where raters placed each emotion, and the answers.

    An ellipse reaches one deviation from the mean: 39 % of what raters called so lies in it.
    Nothing is drawn where the model has not learned both.
    """
    placed = [p for p in predictions if len(p.dimensions) == 2]
    if not placed:
        return ""
    grid = "".join(
        f'<path class="grid" d="M{_x(i)} {_y(1)}V{_y(5)}M{_x(1)} {_y(i)}H{_x(5)}"/>'
        f'<text x="{_x(i)}" y="{_y(1) + 17}" text-anchor="middle">{i}</text>'
        f'<text x="{_x(1) - 8}" y="{_y(i) + 4}" text-anchor="end">{i}</text>'
        for i in range(1, 6)
    )
    known = [e for e in EMOTIONS if e in regions]
    ellipses = "".join(_ellipse(e, *regions[e]) for e in known)
    labels = "".join(
        f'<text class="halo" x="{_x(regions[e][0])}" y="{y:.1f}" text-anchor="middle">{e}</text>'
        for e, y in _above(regions, known).items()
    )
    few = len(placed) == 1
    marks = "".join(
        f'<circle class="mark" cx="{_x(v)}" cy="{_y(a)}" r="{8 if few else 5}" '
        f'fill="{colour(p.label)}"><title>{_point(p)}</title></circle>'
        for p in placed
        for v, a in [p.dimensions.values()]
    )
    said = _point(placed[0]) if few else f"{len(placed)} turns"
    where = " and where raters placed each emotion" if known else ""
    return (
        f'<figure class="plane"><svg viewBox="0 0 360 352" role="img" aria-label="Plane of valence '
        f'and arousal{where}; {safe(said)}">{grid}{ellipses}{labels}{marks}'
        f'<text class="axis" x="{_x(3)}" y="348" text-anchor="middle">negative  ·  valence  ·  positive'
        f'</text><text class="axis" transform="translate(12 {_y(3)}) rotate(-90)" text-anchor="middle">'
        f"calm  ·  arousal  ·  excited</text></svg><figcaption>{_caption(placed, known)}"
        "</figcaption></figure>"
    )


def _caption(predictions: Sequence[Prediction], known: Sequence[str]) -> str:
    what = "Each dot is a turn" if len(predictions) != 1 else _point(predictions[0])
    regions = (
        "Ellipses: where raters of the training data placed each emotion (mean ± one deviation)."
    )
    return (
        f"{what}. {regions if known else 'This model does not know where raters placed emotions.'}"
    )


def _point(p: Prediction) -> str:
    where = f"{seconds(p.start)}: {p.label or 'no emotion'}, " if p.start is not None else ""
    return where + ", ".join(f"{name} {x:.1f}" for name, x in p.dimensions.items()) + " of 1–5"


def _x(valence: float) -> float:
    return round(44 + (valence - 1) * 76, 1)


def _y(arousal: float) -> float:
    return round(312 - (arousal - 1) * 76, 1)


def _ellipse(emotion: str, v: float, a: float, sd_v: float, sd_a: float) -> str:
    return (
        f'<ellipse cx="{_x(v)}" cy="{_y(a)}" rx="{76 * sd_v:.1f}" ry="{76 * sd_a:.1f}" '
        f'fill="{COLOURS[emotion]}" stroke="{COLOURS[emotion]}"/>'
    )


def _above(regions: Regions, known: Sequence[str], gap: float = 14) -> dict[str, float]:
    """Heights of the names: above each ellipse, stacked where neighbours in valence would collide."""
    placed: dict[str, float] = {}
    for emotion in sorted(known, key=lambda e: regions[e][1] + regions[e][3]):
        v, a, _, deviation = regions[emotion]
        y = _y(a + deviation) - 4
        for other in sorted(placed, key=placed.__getitem__, reverse=True):
            if abs(regions[other][0] - v) < 0.75 and abs(placed[other] - y) < gap:
                y = placed[other] - gap
        placed[emotion] = y
    return placed


def shares(prediction: Prediction, nothing: float, values: Mapping[str, float]) -> str:
    """From what was known before anything was heard to the answer: a step a modality."""
    steps = [("before hearing or reading", nothing)] if nothing else []
    steps += [(NAMES.get(m, m), value) for m, value in values.items()]
    confidence = prediction.confidence or 0.0
    ends = list(accumulate(value for _, value in steps))
    rows = ""
    for i, ((name, value), end) in enumerate(zip(steps, ends)):
        low, high = sorted((end - value, end))
        kind = "base" if nothing and not i else "against" if value < 0 else "for"
        number = percent(value) if kind == "base" else points(value)
        rows += (
            f'<tr><th scope="row">{name}</th><td class="track" aria-hidden="true"><i class="{kind}" '
            f'style="margin-left:{100 * max(low, 0):.1f}%;width:{100 * (high - low):.1f}%"></i></td>'
            f'<td class="number">{number}</td></tr>'
        )
    rows += (
        f'<tr class="sum"><th scope="row">{prediction.label}</th><td class="track" aria-hidden="true">'
        f'<i style="width:{100 * confidence:.1f}%;background:{colour(prediction.label)}">'
        f'</i></td><td class="number">{percent(confidence)}</td></tr>'
    )
    return f'<table class="bars steps"><caption>What it rests on</caption><tbody>{rows}</tbody></table>'


def words(saliency: Sequence[tuple[str, float]], label: str | None) -> str:
    """The transcript, each word with what the probability loses without it."""
    if not saliency:
        return ""
    top = max(0.02, *(abs(s) for _, s in saliency))
    spans = " ".join(
        f'<span class="word {"against" if s < 0 else "for"}" style="--share:{abs(s) / top:.2f}" '
        f'title="{points(s)} points for {label}">{safe(word)}<small>{points(s)}</small></span>'
        for word, s in saliency
    )
    return (
        f'<section class="part"><h4>Words</h4><p class="words">{spans}</p><p class="note">Points that '
        f"<b>{label}</b> would lose if the word were left out; a minus: the word spoke against it.</p>"
        "</section>"
    )


def moments(
    samples: np.ndarray, saliency: Sequence[tuple[float, float, float]], label: str | None
) -> str:
    """The waveform, and below it what the probability loses if a stretch is silenced."""
    if not saliency:
        return ""
    end = len(samples) / SAMPLE_RATE
    top = max(0.02, *(abs(s) for *_, s in saliency))
    strip = "".join(
        f'<rect class="{"against" if s < 0 else "for"}" x="{1000 * a / end:.1f}" '
        f'width="{1000 * (b - a) / end - 1:.1f}" y="{min(20, 20 - 20 * s / top):.1f}" '
        f'height="{max(0.6, 20 * abs(s) / top):.1f}"><title>{a:.2f}–{b:.2f} s: {points(s)}</title>'
        "</rect>"
        for a, b, s in saliency
    )
    a, b, most = max(saliency, key=lambda item: item[2])
    said = (
        f"Most weight lies on {a:.1f}–{b:.1f} s: silenced, {label} would lose "
        f"{points(most).lstrip('+')} points."
        if most >= 0.01
        else "No single moment decides."
    )
    return (
        '<section class="part"><h4>Moments</h4>'
        f'<svg class="strip wave" viewBox="0 -50 1000 100" preserveAspectRatio="none" role="img" '
        f'aria-label="Waveform, {end:.1f} s">{_wave(samples)}</svg>'
        '<svg class="strip saliency" viewBox="0 0 1000 40" preserveAspectRatio="none" role="img" '
        f'aria-label="Weight of each moment. {said}">{strip}<path class="zero" d="M0 20H1000"/></svg>'
        f'{ticks(end)}<p class="note">{said} Bars upwards spoke for it, downwards against it.</p>'
        "</section>"
    )


def _wave(samples: np.ndarray) -> str:
    """Least and greatest sample of each bin as one outline."""
    return envelope(samples, samples, BINS)


def envelope(low: np.ndarray, high: np.ndarray, bins: int, width: float = 1000.0) -> str:
    """An outline of least and greatest values in equal bins, 96 high around 0, the peak filling it."""
    starts = np.linspace(0, len(low), min(bins, len(low)), endpoint=False).astype(int)
    scale = -48 / max(float(np.abs(high).max()), float(np.abs(low).max()), 1e-9)
    x = width * (starts + 0.5 * len(low) / len(starts)) / len(low)
    low, high = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
    return outline(x, (scale * high).tolist(), (scale * low).tolist())


def outline(x: Sequence[float] | np.ndarray, high: Sequence[float], low: Sequence[float]) -> str:
    """A path around everything between two curves."""
    there = " ".join(f"{a:.1f} {min(h, -0.4):.1f}" for a, h in zip(x, high))
    back = " ".join(f"{a:.1f} {max(d, 0.4):.1f}" for a, d in zip(x[::-1], low[::-1]))
    return f'<path d="M{there} {back}Z"/>'


def ticks(duration: float, many: int = 4) -> str:
    """Times below a strip."""
    steps = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
    step = next((s for s in steps if duration / s <= many + 1), steps[-1])
    marks = "".join(
        f'<span style="left:{100 * t / duration:.2f}%">{seconds(t) if t else "0"}</span>'
        for t in np.arange(0, duration * 0.9, step)
    )
    return f'<div class="ticks" aria-hidden="true">{marks}</div>'
