"""The light install: a wheel of this tree in an empty environment, answering from another directory.

    python bench/install.py MODEL        # a model folder with an exported copy; needs a package index

Prints what docs/dependencies.md says: size, packages, and the time from nothing to an answer.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ABSENT = ("torch", "pandas", "lightning", "transformers", "scipy")
ROUNDS = 7


def main(model: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        folder, clip = str(Path(model).resolve()), str(tone(place / "clip.wav"))
        environment = place / "environment"
        do(sys.executable, "-m", "venv", "--without-pip", environment)
        python = environment / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
        source = place / "source"  # a copy: setuptools builds beside what it packs
        for name in ("erc", "config"):
            shutil.copytree(ROOT / name, source / name, symlinks=True)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
        do(*pip, "wheel", "--no-deps", "-w", place, source)
        start = time.perf_counter()
        locked = ["-c", ROOT / "requirements.lock"]
        do(*pip, "--python", python, "install", *locked, next(place.glob("erc-*.whl")))
        took = time.perf_counter() - start
        size = sum(p.stat().st_size for p in environment.rglob("*") if not p.is_symlink()) / 1e6
        packages = list(environment.glob("lib/*/site-packages/*.dist-info"))
        names = {re.split(r"-\d", p.name)[0] for p in packages}
        assert not names & set(ABSENT), names & set(ABSENT)
        print(f"installed: {size:.0f} MB, {len(packages)} packages, {took:.0f} s")
        erc = environment / "bin" / "erc"
        print(f"erc --version: {do(erc, '--version', cwd=place).strip()}")
        do(erc, "predict", clip, "--model", folder, cwd=place)  # compiles and fills the page cache
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            do(erc, "predict", clip, "--model", folder, cwd=place)
            times.append(time.perf_counter() - start)
        print(
            f"erc predict: {statistics.median(times):.2f} s ({min(times):.2f} … {max(times):.2f})"
        )
        print(f"erc serve: {serve(erc, folder, place)}")


def serve(erc: Path, folder: str, place: Path) -> str:
    """Start it, ask it, stop it."""
    start = time.perf_counter()
    command = [erc, "serve", "--port", "0", "--model", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=place) as server:
        try:
            found = re.search(r"http://[^ ]+", server.stdout.readline() if server.stdout else "")
            assert found, "erc serve did not say where it listens"
            ask = f"from erc.client import Client; print(Client({found[0]!r}).predict('clip.wav'))"
            said = do(erc.with_name("python"), "-c", ask, cwd=place).strip()
            return f"{said}, {time.perf_counter() - start:.1f} s after the start"
        finally:
            server.send_signal(signal.SIGTERM)


def tone(path: Path) -> Path:
    """Three seconds of noise."""
    import numpy as np
    import soundfile

    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(48_000), 16_000)
    return path


def do(*command: object, cwd: Path | None = None) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd, env=clean)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
