"""`erc predict --ray`: what it refuses, and, where Ray is installed, the whole of it."""

from __future__ import annotations

import csv
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from erc.__main__ import main
from erc.base.errors import ConfigError
from erc.cli.predict_parts import name
from erc.recognizer import bulk, load
from erc.recognizer.bulk import Cluster, Task, cut

ROOT = Path(__file__).resolve().parents[2]
no_ray = importlib.util.find_spec("ray") is None
needs_ray = pytest.mark.skipif(no_ray, reason="no ray here: pip install 'erc[scale]'")


class TestCommand:
    def test_what_it_does_not_take(self, many_clips, speech_model, capsys):
        where = ["predict", str(many_clips), "--model", str(speech_model), "--ray", "local"]
        for words in ([], ["-o", "x", "--format", "csv"], ["-o", "x", "--top-k", "2"]):
            with pytest.raises(SystemExit, match="2"):
                main([*where, *words])
            assert "give -o FOLDER" in capsys.readouterr().err
        for words, said in ((["--actors", "0"], "--actors 0"), (["--cpus", "0"], "--cpus 0")):
            with pytest.raises(SystemExit, match="2"):
                main([*where, "-o", "x", *words])
            assert said in capsys.readouterr().err

    @pytest.mark.skipif(not no_ray, reason="ray is installed")
    def test_without_ray_one_line_says_what_to_install(
        self, many_clips, speech_model, tmp_path, capsys
    ):
        out = tmp_path / "out"
        with pytest.raises(SystemExit, match="2"):
            main(
                [
                    "predict",
                    str(many_clips),
                    "--model",
                    str(speech_model),
                    "--ray",
                    "local",
                    "-o",
                    str(out),
                ]
            )
        [line] = capsys.readouterr().err.splitlines()
        assert line == "ConfigError: --ray needs ray: pip install 'erc[scale]'"
        assert not out.exists()

    def test_answering_and_the_command_import_no_ray(self):
        code = "import sys, erc.cli.program, erc.cli.predict_ray; print('ray' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
        )
        assert done.stdout == "False\n", done.stderr


def command(*words: object, **options) -> subprocess.Popen:
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "erc", *map(str, words)], env=env, text=True, stderr=subprocess.PIPE,
        start_new_session=True, **options,
    )  # fmt: skip


def rows_of(folder: Path) -> list[dict]:
    return [
        row for path in sorted(folder.glob("part-*")) for row in pq.read_table(path).to_pylist()
    ]


@needs_ray
@pytest.mark.slow
class TestRay:
    """A Ray of its own for each command: starting one takes seconds."""

    def test_stopped_and_gone_on_with_every_input_once_and_as_plain(
        self, many_clips, speech_model, tmp_path
    ):
        out, plain = tmp_path / "out", tmp_path / "plain.csv"
        words = [
            "predict",
            f"file://{many_clips}",
            "--model",
            speech_model,
            "--runtime",
            "torch-fp32",
            "-q",
        ]
        on_ray = [*words, "--ray", "local", "--actors", 1, "-o", out]
        with command(*on_ray) as first:
            while first.poll() is None and not list(out.glob("part-*")):
                time.sleep(0.05)  # for the first part, however long that takes
            first.send_signal(signal.SIGINT)
            said = first.stderr.read()
        assert first.returncode == 130, said
        kept = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
        assert 1 <= len(kept) < 3
        with command(*on_ray) as second:
            said = second.stderr.read()
        assert (second.returncode, said.count("0300.wav")) == (1, kept.keys() <= {name(0)}), said
        assert kept.items() <= {p.name: p.stat().st_mtime_ns for p in out.glob("part-*")}.items()
        with command(*words, "-o", plain) as third:
            third.communicate()
        expected, found = list(csv.DictReader(plain.open(encoding="utf-8"))), rows_of(out)
        assert [row["row"] for row in found] == list(range(len(expected)))
        for a, b in zip(expected, found, strict=True):
            assert (a["file"], a["label"] or None) == (b["file"], b["label"])
            for key in ("confidence", "valence", "arousal", "p_happy"):
                if a[key]:
                    assert float(a[key]) == pytest.approx(b[key], abs=1e-5)

    def test_no_cluster_and_a_broken_model_are_one_line(self, many_clips, speech_model, tmp_path):
        words = ["predict", many_clips, "--model", speech_model, "-o", tmp_path / "out", "-q"]
        with command(*words, "--ray", "127.0.0.1:1") as one:
            said = one.stderr.read()
        assert one.returncode == 2, said
        assert "--ray 127.0.0.1:1: no cluster there" in said.splitlines()[-1]
        with command(*words, "--ray", "local", "--cpus", 1000) as one:
            said = one.stderr.read()
        assert one.returncode == 2, said
        expected = "ConfigError: --ray local: no room for a worker, which needs 1000 CPUs"
        assert said.splitlines()[-1] == expected

    def test_a_worker_that_dies_is_replaced(self, many_clips, speech_model):
        task = Task(speech_model, load(speech_model).model, "made", {})
        inputs = [{"audio": str(p), "name": p.name} for p in sorted(many_clips.glob("*.wav"))]
        blocks = [pickle.dumps(cut(inputs, number)) for number in range(3)]
        parts, killed = [], []
        for part in bulk.on_cluster(blocks, task, Cluster("local", actors=1)):
            parts.append(part)
            for one in [] if killed else psutil.Process().children(recursive=True):
                if "".join(one.cmdline()).startswith("ray::MapWorker"):
                    one.kill()
                    killed.append(one.pid)
        assert killed
        assert sorted(part.number for part in parts) == [0, 1, 2]
        assert sum(part.rows for part in parts) == len(inputs)
        [error] = [error for part in parts for error in part.errors]
        assert "0300.wav" in error

    def test_a_worker_that_finds_another_model_ends_the_work_in_a_line(self, speech_model):
        blocks = [pickle.dumps(cut([{"text": "a"}], 0))]
        with pytest.raises(ConfigError, match="copy the model there"):
            list(
                bulk.on_cluster(blocks, Task(speech_model, "other@0", "made", {}), Cluster("local"))
            )
