"""The same mutated recordings through the command and over HTTP: a row, or an error, for each.

python -m bench.trust.doors [--files 300] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.trust import model_folders
from bench.trust.audio import mutated


def command(model: Path, folder: Path) -> Counter[str]:
    """`erc predict FOLDER`: what its rows say, and how it ended."""
    done = subprocess.run(
        [sys.executable, "-m", "erc", "predict", str(folder), "--model", str(model)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = Counter("failed" if "error" in row else "answered" for row in rows)
    found[f"exit {done.returncode}"] += 1
    found["lines with nan"] = done.stdout.count("NaN")
    found["tracebacks"] = done.stderr.count("Traceback")
    return found


def http(model: Path, folder: Path) -> tuple[Counter[str], float]:
    """POST /v1/predict of each: statuses, and the longest time."""
    from starlette.testclient import TestClient

    import erc
    from erc.server.app import create_app
    from erc.server.settings import Settings

    found, longest = Counter[str](), 0.0
    app = create_app(erc.load(model), Settings(queue=64))
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        for path in sorted(folder.iterdir()):
            start = time.perf_counter()
            answer = client.post("/v1/predict", files={"file": (path.name, path.read_bytes())})
            longest = max(longest, time.perf_counter() - start)
            found[f"status {answer.status_code}"] += 1
            found["nan"] += "NaN" in answer.text
        found[f"health {client.get('/health').status_code}"] += 1
    return found, longest


def main() -> int:
    """Print what came of them; 1 if that was a traceback, a nan, or the end of the server."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=300)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        model, folder = model_folders.small_model(Path(place) / "model"), Path(place) / "files"
        folder.mkdir()
        for number, (_, data) in enumerate(mutated(given.files, given.seed)):
            (folder / f"{number:04d}.wav").write_bytes(data)
        said = command(model, folder)
        print(f"command, {given.files} files: {dict(said)}")
        found, longest = http(model, folder)
        print(f"HTTP, {given.files} files: {dict(found)}, longest {longest:.1f} s")
    wrong = said["tracebacks"] + said["lines with nan"] + found["nan"] + found["status 500"]
    return int(wrong + found["status 504"] > 0 or not found["health 200"])


if __name__ == "__main__":
    sys.exit(main())
