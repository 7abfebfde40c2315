"""What `erc check` hears in a single recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soxr

from erc.base.audio import MIN_SAMPLES, SAMPLE_RATE, recorded
from erc.base.copies import spectral_signs
from erc.base.errors import AudioError
from erc.base.files import fingerprint
from erc.cli.check_findings import Finding

SILENT = 1e-3  # root mean square of a recording; −60 dB of full scale
FULL = 0.999  # of full scale; three such samples in a row are cut off …
CLIPPED = 1e-3  # … and this share of them can be heard


@dataclass
class Heard:
    """What a recording sounds like to the doctor."""

    findings: list[Finding]
    digest: str = ""  # of its samples; "": not to be compared
    seconds: float = 0.0
    level: float = 0.0  # root mean square, full scale 1
    signs: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint32))  # `spectral_signs`


def listen(path: Path) -> Heard:
    """Read a whole recording; whatever is wrong with it becomes a finding, never an exception."""
    try:
        return _heard(path)
    except AudioError as error:
        kind = "Git LFS pointer" if "Git LFS" in str(error) else "unreadable recording"
        return Heard([Finding(kind, str(error))])
    except Exception as error:  # libsndfile, the file system: nothing may stop the round
        reason = getattr(error, "error_string", None) or str(error)
        return Heard([Finding("unreadable recording", f"{path}: {reason.strip()}")])


def _heard(path: Path) -> Heard:
    x, rate, missing = recorded(path)
    channels = x.shape[1]
    found = []

    def note(check: str, detail: str = "") -> None:
        found.append(Finding(check, f"{path}{': ' * bool(detail)}{detail}"))

    if missing:
        note("truncated recording", f"ends {missing:.2f} s before it should")
    if (rate, channels) != (SAMPLE_RATE, 1):
        note("other rate or channels", f"{rate} Hz, {channels} channels")
    if not np.isfinite(x).all():
        note("unreadable recording", "samples that are no numbers")
        return Heard(found)
    if len(x) / rate < MIN_SAMPLES / SAMPLE_RATE:
        note("recording too short", f"{len(x) / rate * 1000:.1f} ms")
        return Heard(found)
    if (level := float(np.sqrt(np.einsum("tc,tc", x, x) / x.size))) < SILENT:
        note("silent recording", f"{20 * np.log10(max(level, 1e-10)):.0f} dB")
        return Heard(found, seconds=len(x) / rate)  # silence resembles silence: no duplicate
    full = np.abs(x) >= FULL
    share = float((full[:-2] & full[1:-1] & full[2:]).mean())
    if share > CLIPPED:
        note("clipped recording", f"{share:.1%} of the samples")
    mono = soxr.resample(x.mean(1), rate, SAMPLE_RATE)
    digest = fingerprint(x.tobytes() + str(rate).encode())
    return Heard(found, digest, len(x) / rate, level, spectral_signs(mono))
