"""What a training cost, in words."""

from __future__ import annotations

from typing import Any


def words(spent: dict[str, Any] | None) -> str:
    """Time, device and number format, for people.

    >>> words({"seconds": 75.2, "device": "cpu", "precision": "32-true"})
    '1 min 15 s on cpu in 32-true'
    """
    if not spent:
        return "not measured"
    minutes, seconds = divmod(round(spent["seconds"]), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    lasted = " ".join(f"{n} {unit}" for n, unit in parts if n) or "under 1 s"
    numbers = f" in {spent['precision']}" if "precision" in spent else ""
    if (count := spent.get("at_once", 1)) > 1:
        numbers += f", its share of {count} trainings at once"
    part = ", counted since it was resumed" if spent.get("resumed") else ""
    if isinstance(spent.get("resumed"), list):
        part += f" with other settings ({'; '.join(spent['resumed'])})"
    return f"{lasted} on {spent['device']}{numbers}{part}"
