"""What the page draws of one answer: HTML and SVG strings, each with its numbers as text.

Shapes are SVG without words, stretched to the width there is; words are HTML, so that they stay
legible on a phone and are read aloud. Colours that are no emotion come from `web.css`.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from erc.base.audio import SAMPLE_RATE
from erc.base.figures import colours
from erc.base.space import KEMDY, Dimension, Space
from erc.labels.regions import Regions
from erc.recognizer import scales
from erc.recognizer.prediction import Prediction

BINS = 200  # of a waveform
LEFT, BOTTOM, SIDE = 44, 312, 304  # of the plane in its picture
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


def dot(emotion: str | None, space: Space = KEMDY) -> str:
    """The emotion's colour; says nothing to a screen reader, its name stands beside it."""
    return f'<i class="dot" style="background:{colour(emotion, space)}" aria-hidden="true"></i>'


def colour(emotion: str | None, space: Space = KEMDY) -> str:
    """Of an emotion; of no emotion, grey."""
    return colours(space.emotions)[emotion] if emotion else "#8A9099"


def bars(shares: Mapping[str, float], caption: str, space: Space = KEMDY) -> str:
    """A bar for each that was learned, largest first: a table, to be read cell by cell."""
    rows = "".join(
        _bar(f"{dot(e, space)}{e}", p, colour(e, space), percent(p))
        for e, p in sorted(shares.items(), key=lambda item: -item[1])
        if p
    )
    return _bars(rows, caption)


def levels(predictions: Sequence[Prediction]) -> str:
    """A bar for each dimension: where the answers lie on its scale, on average over the time spoken."""
    rows = ""
    for d in predictions[0].space.dimensions if predictions else ():
        known = [p for p in predictions if d.name in p.dimensions]
        if known:
            lasts = [(p.end or 0) - (p.start or 0) or 1.0 for p in known]
            x = float(np.average([p.dimensions[d.name] for p in known], weights=lasts))
            rows += _bar(d.name, scales.share(d, x), "currentColor", scales.number(d, x))
    if not rows:
        return ""
    return _bars(rows, "Mean over the time spoken" if len(predictions) > 1 else "Dimensions")


def _bar(name: str, share: float, hue: str, number: str) -> str:
    return (
        f'<tr><th scope="row">{name}</th><td class="track" aria-hidden="true"><i style="'
        f'width:{100 * share:.1f}%;background:{hue}"></i></td><td class="number">{number}</td></tr>'
    )


def _bars(rows: str, caption: str) -> str:
    return f'<table class="bars"><caption>{caption}</caption><tbody>{rows}</tbody></table>'


def plane(predictions: Sequence[Prediction], regions: Regions) -> str:
    """Valence to the right, arousal upwards; where raters placed each emotion, and the answers.

    An ellipse reaches one deviation from the mean: 39 % of what raters called so lies in it.
    Nothing is drawn where the model has not learned both.
    """
    placed = [p for p in predictions if p.valence is not None and p.arousal is not None]
    if not placed or not (indices := (space := placed[0].space).plane):
        return ""
    valence, arousal = axes = [space.dimensions[i] for i in indices]
    at = _Place(valence, arousal)
    grid = "".join(
        f'<path class="grid" d="M{at.x(x)} {BOTTOM}V{BOTTOM - SIDE}"/>'
        f'<text x="{at.x(x)}" y="{BOTTOM + 17}" text-anchor="middle">{_short(x)}</text>'
        for x in _ticks(valence)
    ) + "".join(
        f'<path class="grid" d="M{LEFT} {at.y(y)}H{LEFT + SIDE}"/>'
        f'<text x="{LEFT - 8}" y="{round(at.y(y) + 4, 1)}" text-anchor="end">{_short(y)}</text>'
        for y in _ticks(arousal)
    )
    known = [e for e in space.emotions if e in regions]
    ellipses = "".join(at.ellipse(colour(e, space), *regions[e]) for e in known)
    labels = "".join(
        f'<text class="halo" x="{at.x(regions[e][0])}" y="{y:.1f}" text-anchor="middle">{e}</text>'
        for e, y in _above(at, regions, known).items()
    )
    few = len(placed) == 1
    marks = "".join(
        f'<circle class="mark" cx="{at.x(p.dimensions["valence"])}" '
        f'cy="{at.y(p.dimensions["arousal"])}" r="{8 if few else 5}" '
        f'fill="{colour(p.label, space)}"><title>{_point(p)}</title></circle>'
        for p in placed
    )
    said = _point(placed[0]) if few else f"{len(placed)} turns"
    where = " and where raters placed each emotion" if known else ""
    words = ["  ·  ".join((d.poles[0], d.name, d.poles[1])) for d in axes]
    return (
        f'<figure class="plane"><svg viewBox="0 0 360 352" role="img" aria-label="Plane of valence '
        f'and arousal{where}; {safe(said)}">{grid}{ellipses}{labels}{marks}'
        f'<text class="axis" x="{LEFT + SIDE / 2}" y="348" text-anchor="middle">{words[0]}</text>'
        f'<text class="axis" transform="translate(12 {BOTTOM - SIDE / 2}) rotate(-90)" '
        f'text-anchor="middle">{words[1]}</text></svg><figcaption>{_caption(placed, known)}'
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
    plane = {name: p.dimensions[name] for name in ("valence", "arousal")}
    return where + scales.said(p.space, plane)


def _ticks(dimension: Dimension) -> list[float]:
    """Whole numbers where there are few of them, else four steps.

    >>> _ticks(Dimension("arousal", 1, 7)), _ticks(Dimension("arousal", 0, 100))
    ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], [0.0, 25.0, 50.0, 75.0, 100.0])
    """
    low, high = dimension[1:]
    steps = int(high - low) if low == int(low) and high - low in range(2, 10) else 4
    return np.linspace(low, high, steps + 1).tolist()


def _short(x: float) -> str:
    return f"{x:g}".replace("-", "−")


class _Place(NamedTuple):
    """Where valence and arousal lie in the picture of the plane."""

    valence: Dimension
    arousal: Dimension

    def x(self, valence: float) -> float:
        return round(LEFT + SIDE * scales.share(self.valence, valence), 1)

    def y(self, arousal: float) -> float:
        return round(BOTTOM - SIDE * scales.share(self.arousal, arousal), 1)

    def ellipse(self, hue: str, v: float, a: float, sd_v: float, sd_a: float) -> str:
        wide, tall = (
            SIDE * sd / (d.high - d.low) for d, sd in zip(self, (sd_v, sd_a), strict=True)
        )
        return (
            f'<ellipse cx="{self.x(v)}" cy="{self.y(a)}" rx="{wide:.1f}" ry="{tall:.1f}" '
            f'fill="{hue}" stroke="{hue}"/>'
        )


def _above(
    at: _Place, regions: Regions, known: Sequence[str], gap: float = 14, near: float = 57
) -> dict[str, float]:
    """Heights of the names: above each ellipse, stacked where neighbours in valence would collide."""
    placed: dict[str, float] = {}
    for emotion in sorted(known, key=lambda e: regions[e][1] + regions[e][3]):
        v, a, _, deviation = regions[emotion]
        y = at.y(a + deviation) - 4
        for other in sorted(placed, key=placed.__getitem__, reverse=True):
            if abs(at.x(regions[other][0]) - at.x(v)) < near and abs(placed[other] - y) < gap:
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
    hue = colour(prediction.label, prediction.space)
    rows += (
        f'<tr class="sum"><th scope="row">{prediction.label}</th><td class="track" aria-hidden="true">'
        f'<i style="width:{100 * confidence:.1f}%;background:{hue}">'
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
