"""Every attack, one after another, with the time that each takes: `make trust`.

python -m bench.trust [--quick] [NAME …]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

QUICK = {  # the attacks in their order; what makes each one a matter of a minute
    "model_folders": ["--copies", "1"],
    "graphs": ["--copies", "5"],
    "audio": ["--files", "200"],
    "doors": ["--files", "60"],
    "apart": [],
    "damage": ["--times", "10"],
    "votes": ["--tables", "2000"],
    "kills": ["--builds", "10", "--predictions", "10"],
    "full": ["--tries", "3"],
    "same": ["--no-training"],
    "sockets": ["--no-demo"],
    "markers": ["--requests", "200"],
    "load": ["--seconds", "5", "--soak", "40"],
    "resume": ["--stops", "1", "--loaded", "1", "--kills", "4"],
}


def main() -> int:
    """Run them; 1 if a promise was broken."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("names", nargs="*", metavar="NAME", help=", ".join(QUICK))
    options.add_argument(
        "--quick", action="store_true", help="few of each; minutes instead of hours"
    )
    given = options.parse_args()
    if unknown := set(given.names) - QUICK.keys():
        options.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(QUICK)}")
    broken = []
    for name in given.names or QUICK:
        print(f"\n{name}", flush=True)
        start, words = time.monotonic(), QUICK[name] if given.quick else []
        code = subprocess.run([sys.executable, "-m", f"bench.trust.{name}", *words], check=False)
        print(f"{name}: {time.monotonic() - start:.0f} s, exit {code.returncode}", flush=True)
        broken += [name] if code.returncode else []
    print(f"\nbroken: {', '.join(broken) or 'nothing'}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
