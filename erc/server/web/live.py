"""What the page shows while somebody speaks. `live.js` fills it in with what `/v1/live` says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.recognizer.scales import digits
from erc.server.settings import LIVE
from erc.server.web.figures import colour, dot, safe
from erc.server.web.words import banner

if TYPE_CHECKING:
    from fastapi import FastAPI

    from erc.recognizer import Recognizer

SCRIPT = Path(__file__).parent / "live.js"


def socket_of(app: FastAPI, root_path: str = "") -> str | None:
    """Where an application has its live streams, as a browser asks for it; None: nowhere."""
    there = any(getattr(route, "path", "") == LIVE for route in app.routes)
    return root_path + LIVE if there else None


def can(recognizer: Recognizer) -> bool:
    """Whether a model answers to sound alone."""
    takes = recognizer.spec.modalities
    return "speech" in takes and not (recognizer.spec.needs_all and len(takes) > 1)


def panel(recognizer: Recognizer, socket: str) -> str:
    """The panel, hidden until the microphone is on.

    Args:
        socket: where the page's sound goes.
    """
    space, learned = recognizer.space, recognizer.learned
    emotions = [e for e in space.emotions if e not in learned.not_offered]
    dimensions = [d for d in space.dimensions if d.name not in learned.unlearned]
    says: dict[str, Any] = {
        "colours": {e: colour(e, space) for e in emotions},
        "digits": {d.name: digits(d) for d in dimensions},
        "of": "of raters would say so" if learned.rated else "probable",
    }
    rows = "".join(
        f'<tr data-emotion="{safe(e)}"><th scope="row">{dot(e, space)}{safe(e)}</th>'
        '<td class="track" aria-hidden="true">'
        f'<i style="background:{colour(e, space)};width:0"></i></td>'
        '<td class="number"></td></tr>'
        for e in emotions
    )
    bars = (
        f'<table class="bars"><caption>Now</caption><tbody>{rows}</tbody></table>' if rows else ""
    )
    names = ["time", *["emotion"] * bool(emotions), *(d.name for d in dimensions)]
    head = "".join(f'<th scope="col">{safe(name)}</th>' for name in names)
    return (
        f'<article class="erc" id="erc-live" hidden="" data-socket="{safe(socket)}" '
        f'data-says="{safe(json.dumps(says))}">{banner(learned.simulated)}'
        '<div class="headline"><h2></h2><p></p></div>'
        f"{bars}"
        '<section class="part"><h4 id="erc-live-turns">Turns so far</h4>'
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="erc-live-turns">'
        f'<table class="turns"><thead><tr>{head}</tr></thead>'
        '<tbody aria-live="polite"></tbody></table></div>'
        '<p class="note"></p></section></article>'
    )
