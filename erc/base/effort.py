"""What a run cost: time, device, and energy where the processor counts it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
EVERY = 30.0  # s between two looks; a counter of 262 kJ at 500 W turns over in 500 s


class Effort:
    """A clock that runs from here to `stop`, and the energy counters of the processor (RAPL).

    Energy is that of all processor packages with everything that ran on them, without memory, GPU
    and power supply. It is None where the counters cannot be read: never a guess.

    Args:
        powercap: folder of the counters.

    >>> spent = Effort().stop("cpu")
    >>> sorted(spent)
    ['device', 'joules', 'seconds']
    """

    def __init__(self, powercap: Path = POWERCAP):
        self.start = time.monotonic()
        zones = sorted(powercap.glob("intel-rapl:*")) if powercap.is_dir() else []
        self.zones = [zone for zone in zones if zone.name.count(":") == 1]  # packages, not parts
        self.last = [self._read(zone) for zone in self.zones]
        self.joules = None if not self.zones or None in self.last else 0.0
        self._done = threading.Event()
        if self.joules is not None:
            threading.Thread(target=self._watch, daemon=True).start()

    def stop(self, device: str) -> dict[str, Any]:
        """Seconds since the start, joules or None, and the name of the device that computed."""
        self._done.set()
        self.look()
        joules = None if self.joules is None else round(self.joules, 1)
        return {
            "seconds": round(time.monotonic() - self.start, 1),
            "device": device,
            "joules": joules,
        }

    def look(self) -> None:
        """Add what the counters have gained, once around at most."""
        if self.joules is None:
            return
        now = [self._read(zone) for zone in self.zones]
        if None in now:
            self.joules = None
            return
        for zone, before, after in zip(self.zones, self.last, now, strict=True):
            gained = after - before
            if gained < 0:
                gained += self._read(zone, "max_energy_range_uj") or 0
            self.joules += gained / 1e6
        self.last = now

    def _watch(self) -> None:
        while not self._done.wait(EVERY):
            self.look()

    @staticmethod
    def _read(zone: Path, file: str = "energy_uj") -> int | None:
        try:
            return int((zone / file).read_text())
        except (OSError, ValueError):
            return None


def words(spent: dict[str, Any] | None) -> str:
    """One line for people.

    >>> words({"seconds": 75.2, "device": "cpu", "joules": None})
    '1 min 15 s on cpu; energy not measured (no readable counter)'
    """
    if not spent:
        return "not measured"
    minutes, seconds = divmod(round(spent["seconds"]), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    lasted = " ".join(f"{n} {unit}" for n, unit in parts if n) or "under 1 s"
    if spent.get("joules") is None:
        energy = "energy not measured (no readable counter)"
    else:
        energy = f"{spent['joules'] / 3.6e6:.4g} kWh by the processor's own counter"
    part = ", counted since it was resumed" if spent.get("resumed") else ""
    return f"{lasted} on {spent['device']}{part}; {energy}"
