"""`erc predict`: what it takes, what it writes, and that an interrupted run goes on byte for byte."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from erc.__main__ import main
from erc.base.errors import ConfigError
from erc.base.space import KEMDY
from erc.cli.predict_inputs import collect
from erc.cli.predict_resume import Resumable, alone
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.folder.checkpoint import save
from erc.model.tokenizer import train_tokenizer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model folder with random weights."""
    torch.manual_seed(0)
    speech, text = (
        SpeechEncoder.from_name("tiny-whisper"),
        TextEncoder.from_name("tiny-roberta", vocab_size=60),
    )
    folder = tmp_path_factory.mktemp("tiny") / "model"
    tokenizer = train_tokenizer(["기분이 좋아", "기분이 나빠"], 60)
    save(folder, EmotionModel(speech, text, fusion="concat", dim=16), tokenizer=tokenizer)
    return folder


def write_clips(folder: Path, n: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        clip = 0.1 * rng.standard_normal(3200 + 160 * int(rng.integers(20)))
        soundfile.write(folder / f"{i:03d}.wav", clip, 16_000)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips") / "takes", 5)


def erc(*words: str, **options) -> subprocess.CompletedProcess:
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "erc", *map(str, words)], env=env, capture_output=True, timeout=120,
        check=False, **options,
    )  # fmt: skip


class TestInputs:
    def names(self, *words, **options):
        return [Path(one.name).name for one in collect(map(str, words), **options).found]

    def test_folders_patterns_and_files(self, clips):
        all_five = [f"{i:03d}.wav" for i in range(5)]
        assert self.names(clips) == all_five
        assert self.names(clips / "*.wav") == all_five
        assert self.names(clips.parent / "**/*.wav") == all_five
        assert self.names(clips / "004.wav", clips / "gone.wav") == ["004.wav", "gone.wav"]

    def test_lists_are_relative_to_themselves(self, clips):
        path = clips.parent / "list.txt"
        path.write_text("# chosen by hand\n\ntakes/003.wav\n takes/001.wav \ntakes\n", "utf-8")
        assert self.names(f"@{path}")[:2] == ["003.wav", "001.wav"]
        assert len(self.names(f"@{path}")) == 7
        assert all(Path(one.audio).is_file() for one in collect([f"@{path}"]).found)

    def test_a_table_gives_text_too(self, clips):
        path = clips.parent / "table.csv"
        path.write_text('File,Text\ntakes/000.wav,"좋아, 정말"\n,말만\n\ntakes/001.wav,\n', "utf-8")
        found = collect([str(path)]).found
        assert [(one.text, bool(one.audio)) for one in found] == [
            ("좋아, 정말", True), ("말만", False), (None, True),
        ]  # fmt: skip
        assert found[1].name.endswith("table.csv row 3")

    def test_standard_input(self, clips):
        lines = f"{clips / '002.wav'}\n{clips / '000.wav'}\n".encode()
        assert self.names("-", stdin=io.BytesIO(lines)) == ["002.wav", "000.wav"]
        data = (clips / "000.wav").read_bytes()
        (one,) = collect(["-"], "좋아", io.BytesIO(data)).found
        assert (one.audio, one.text, one.name) == (data, "좋아", "<stdin>")

    def test_what_a_folder_holds_is_read_or_named(self, tmp_path):
        for name in ("b.m4a", "a.WAV", "a.txt", "cover.png", "take.sph", ".hidden", "in/c.flac"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        (tmp_path / "in" / "loop").symlink_to(tmp_path)
        elsewhere = tmp_path.parent / f"{tmp_path.name}-linked"
        elsewhere.mkdir()
        (elsewhere / "d.wav").write_bytes(b"")
        (tmp_path / "link").symlink_to(elsewhere)
        found = collect([str(tmp_path)])
        names = [os.path.relpath(one.name, tmp_path) for one in found.found]
        assert names == ["a.WAV", "b.m4a", "in/c.flac", "link/d.wav"]
        assert [Path(path).name for path in found.unread] == ["take.sph"]
        assert found.beside == 2

    def test_lines_of_a_list_are_names_before_they_are_anything_else(self, tmp_path):
        korean = os.fsdecode("감정.wav".encode("cp949"))
        for name in ("#1 take.wav", "take [1].wav", " b.wav", korean):
            (tmp_path / name).write_bytes(b"")
        lines = ["#1 take.wav", "# a comment", "take [1].wav", "take [2].wav", " b.wav", korean]
        path = tmp_path / "list.txt"
        path.write_bytes(b"\xef\xbb\xbf" + os.fsencode("\r\n".join(lines)))
        lines.remove("# a comment")
        found = [Path(one.audio).name for one in collect([f"@{path}"]).found]
        assert found == lines
        path.write_bytes("가.wav\n".encode("cp949"))
        assert Path(collect([f"@{path}"]).found[0].audio).name == "가.wav"

    @pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "AU", "AIFF", "FLAC", "OGG", "MP3"])
    def test_a_recording_of_any_kind_on_standard_input(self, kind, clips):
        sound, data = soundfile.read(clips / "000.wav")[0], io.BytesIO()
        soundfile.write(data, sound, 16_000, format=kind)
        (one,) = collect(["-"], None, io.BytesIO(data.getvalue())).found
        assert one.audio == data.getvalue()

    def test_a_long_transcript_and_a_wrong_separator(self, tmp_path):
        path = tmp_path / "table.csv"
        path.write_text("text\n" + "가" * 200_000 + "\n", "utf-8")
        assert len(collect([str(path)]).found[0].text) == 200_000
        path.write_text("audio;text\na.wav;좋아\n", "utf-8")
        with pytest.raises(ConfigError, match="separated by semicolons; separate them by commas"):
            collect([str(path)])
        tabs = tmp_path / "table.tsv"
        tabs.write_text("audio,text\na.wav,좋아\n", "utf-8")
        with pytest.raises(ConfigError, match="separated by commas; separate them by tabs"):
            collect([str(tabs)])

    @pytest.mark.parametrize(
        ("words", "text", "says"),
        [
            ([], None, "give a recording"),
            (["*.nothing"], None, "no file matches"),
            (["."], None, "no recordings"),
            (["@gone.txt"], None, "gone.txt: No such file"),
            (["bad.csv"], None, r"no column audio.*did you mean 'audio'"),
            (["a.wav", "b.wav"], "좋아", "one recording, not 2"),
            (["-"], None, "empty"),
        ],
    )
    def test_mistakes(self, words, text, says, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("bad.csv").write_text("audoi\na.wav\n", "utf-8")
        with pytest.raises(ConfigError, match=says):
            collect(words, text, io.BytesIO())


class TestForms:
    def test_json(self, model, clips, capsys):
        assert main(["predict", str(clips), "--model", str(model), "--quiet"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len(rows) == 5
        assert list(rows[0]["probabilities"]) == list(KEMDY.emotions)
        numbers = [rows[0]["valence"], *rows[0]["probabilities"].values()]
        assert all(x == round(x, 6) for x in numbers)

    def test_csv_has_the_columns_of_the_python_table(self, model, clips, capsys):
        from erc import load, table

        main(["predict", str(clips), "--model", str(model), "--format", "csv"])
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        frame = table(load(model).predict_many(sorted(map(str, clips.glob("*")))))
        assert list(rows[0]) == list(frame.columns)
        for row, p in zip(rows, frame.p_happy, strict=True):
            assert float(row["p_happy"]) == pytest.approx(p, abs=1e-6)
            assert len(row["p_happy"].partition(".")[2]) == 6

    def test_top_k_and_abstain(self, model, clips, capsys):
        words = ["predict", str(clips / "000.wav"), "--model", str(model), "--top-k", "2"]
        main([*words, "--abstain", "0.99"])
        row = json.loads(capsys.readouterr().out)
        assert next(iter(row["probabilities"])) == row["label"]
        assert len(row["probabilities"]) == 2
        assert row["abstain"] is True
        main([*words, "--format", "csv"])
        (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
        assert sum(bool(row[f"p_{e}"]) for e in KEMDY.emotions) == 2
        main([*words, "--format", "table", "--abstain", "0.99"])
        table = capsys.readouterr().out
        assert "unsure" in table
        assert "000.wav" in table

    def test_failures_keep_their_row(self, model, clips, tmp_path, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "300")  # a table cuts a long path
        (tmp_path / "[red]broken.wav").write_bytes(b"RIFF")
        words = [str(tmp_path / "[red]broken.wav"), str(clips / "000.wav"), "gone.wav"]
        assert main(["predict", *words, "--model", str(model)]) == 1
        out, err = capsys.readouterr()
        assert ["error" in json.loads(line) for line in out.splitlines()] == [True, False, True]
        assert "broken.wav" in err
        assert "gone.wav: no such file" in err
        assert main(["predict", *words, "--model", str(model), "--format", "table"]) == 1
        assert "[red]" in capsys.readouterr().out

    def test_a_recording_through_a_pipe(self, exported, clips, capsys):
        path = clips / "001.wav"
        words = ("--text", "좋아", "--model", str(exported), *ONNX)
        done = erc("predict", "-", *words, input=path.read_bytes())
        assert done.returncode == 0, done.stderr
        main(["predict", str(path), *words])
        here, there = json.loads(capsys.readouterr().out), json.loads(done.stdout)
        assert there.pop("file") == "<stdin>"
        assert here.pop("file") == str(path)
        assert here == there

    def test_names_that_are_no_text_or_too_long_and_pipes(self, model, clips, tmp_path, capsys):
        data = (clips / "000.wav").read_bytes()
        strange = os.fsdecode(os.fsencode(tmp_path) + "/감정.wav".encode("cp949"))
        Path(strange).write_bytes(data)
        pipe = tmp_path / "pipe.wav"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(data,))
        writer.start()
        words = [str(clips / "000.wav"), strange, str(pipe), "a" * 300 + ".wav", "/dev/null"]
        target = tmp_path / ("가" * 80 + ".jsonl")  # 246 of 255 bytes
        assert main(["predict", *words, "--model", str(model), "-o", str(target), "-q"]) == 1
        writer.join()
        rows = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
        assert [row.get("probabilities") == rows[0]["probabilities"] for row in rows] == [
            True, True, True, False, False,
        ]  # fmt: skip
        assert rows[1]["file"].endswith(r"/\xb0\xa8\xc1\xa4.wav")
        assert "no such file" in rows[3]["error"]
        assert "device" in rows[4]["error"]

    @pytest.mark.parametrize("encoding", ["ascii", "cp949", "utf-8"])
    def test_a_console_that_lacks_letters(self, encoding, model, clips, tmp_path, monkeypatch):
        clip = tmp_path / "café 감정.wav"
        clip.write_bytes((clips / "000.wav").read_bytes())

        def said(*words: str) -> str:
            screen = io.TextIOWrapper(io.BytesIO(), encoding)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", screen)
                assert main(list(words)) == 0
            screen.flush()
            return screen.buffer.getvalue().decode(encoding)

        words = ["predict", str(clip), "--model", str(model), "-q"]
        assert json.loads(said(*words))["file"] == str(clip)
        name = "café 감정.wav".encode(encoding, "backslashreplace").decode(encoding)
        assert name in said(*words, "--format", "csv")
        assert "erc COMMAND" in said("--help")
        assert "valence" in said("info", str(model))

    def test_files_that_are_not_read_are_named(self, model, clips, tmp_path, capsys):
        folder = tmp_path / "takes"
        shutil.copytree(clips, folder)
        words = ["predict", str(folder), "--model", str(model), "-o", str(tmp_path / "o.csv")]
        (folder / "000.txt").write_text("좋아", "utf-8")
        assert main(words) == 0
        (folder / "take.sph").write_bytes(b"")
        for _ in range(2):  # also when there is nothing left to do
            assert main(words) == 1
            assert "take.sph" in capsys.readouterr().err

    def test_a_model_of_speech_leaves_the_text_aside(self, clips, tmp_path, capsys):
        torch.manual_seed(0)
        deaf = EmotionModel(SpeechEncoder.from_name("tiny-whisper"), dim=16)
        save(tmp_path / "model", deaf)
        path = tmp_path / "table.csv"
        path.write_text(
            f"audio,text\n{clips / '000.wav'},좋아\n{clips / '001.wav'},\n,말만\n", "utf-8"
        )
        assert main(["predict", str(path), "--model", str(tmp_path / "model")]) == 1
        out, err = capsys.readouterr()
        rows = [json.loads(line) for line in out.splitlines()]
        assert ["error" in row for row in rows] == [False, False, True]
        assert rows[0]["modalities"] == ["speech"]
        assert "the text of 1 inputs is not used" in err

    def test_every_row_says_which_model_and_version(self, model, clips, tmp_path, capsys):
        copy = tmp_path / "other"
        shutil.copytree(model, copy)
        signed = []
        for folder in (model, copy):
            main(["predict", str(clips / "000.wav"), "--model", str(folder)])
            signed.append(json.loads(capsys.readouterr().out)["model"].split("@"))
        assert signed[0][1] == signed[1][1]
        assert (signed[1][0], len(signed[1][1])) == ("other", 8)
        config = json.loads((copy / "config.json").read_text("utf-8"))
        config["meta"]["prediction"] = {"temperature": 2.0}
        del config["files"]
        (copy / "config.json").write_text(json.dumps(config), "utf-8")
        main(["predict", str(clips / "000.wav"), "--model", str(copy), "--format", "csv"])
        (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
        assert row["model"].split("@")[1] != signed[0][1]

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["--format", "vtt"], "erc timeline"),
            (["-o", "x.eaf"], "erc timeline"),
            (["-o", "x.txt", "--format", "table"], "table is for the screen"),
            (["--top-k", "0"], "1–7"),
            (["--abstain", "2"], "between 0 and 1"),
            (["--workers", "0"], "at least one"),
            (["--formt", "csv"], "did you mean '--format'"),
            (["--format", "cvs"], "did you mean 'csv'"),
            (["--runtime", "onx-fp32"], "did you mean 'onnx-fp32'"),
        ],
    )
    def test_mistakes_are_one_line(self, words, says, model, clips, capsys):
        with pytest.raises(SystemExit) as stop:
            main(["predict", str(clips), "--model", str(model), *words])
        assert stop.value.code == 2
        err = capsys.readouterr().err
        assert says in err
        assert len(err.splitlines()) == 1


ONNX = ("--runtime", "onnx-fp32")  # starts in a moment, without torch


def run(model: Path, source: Path, target: Path, *more: str) -> list[str]:
    return ["predict", str(source), "--model", str(model), "-o", str(target), *more]


def killed_and_resumed(
    model: Path, source: Path, target: Path, after: int, *more: str
) -> subprocess.CompletedProcess:
    """Kill a run once `after` rows are written, then give the same command again."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    record = target.with_name(target.name + ".run.json")
    with subprocess.Popen(
        [sys.executable, "-m", "erc", *run(model, source, target, *more)],
        env=env,
        stderr=subprocess.DEVNULL,
    ) as first:
        while not record.exists() or json.loads(record.read_text("utf-8"))["rows"] < after:
            assert first.poll() is None, "it was quicker than the kill"
            time.sleep(0.001)
        first.send_signal(signal.SIGKILL)
    assert not target.exists()
    return erc(*run(model, source, target, *more))


class TestResume:
    def test_killed_and_resumed_is_byte_identical(self, exported, tmp_path):
        source = write_clips(tmp_path / "many", 200)
        (source / "100.wav").write_bytes(b"broken")
        assert main(run(exported, source, tmp_path / "whole.csv", *ONNX)) == 1
        done = killed_and_resumed(exported, source, tmp_path / "cut.csv", 64, *ONNX)
        assert done.returncode == 1
        assert b"going on after" in done.stderr
        whole = (tmp_path / "whole.csv").read_bytes()
        assert (tmp_path / "cut.csv").read_bytes() == whole
        assert whole.count(b"\n") == 201
        assert not (tmp_path / "cut.csv.part").exists()

    @pytest.mark.slow
    @pytest.mark.parametrize("after", [64, 256, 448])
    def test_five_hundred(self, model, tmp_path, after):
        source = write_clips(tmp_path / "many", 500)
        main(run(model, source, tmp_path / "whole.jsonl"))
        killed_and_resumed(model, source, tmp_path / "cut.jsonl", after)
        assert (tmp_path / "cut.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()

    def test_a_complete_file_is_not_computed_again(
        self, model, clips, tmp_path, monkeypatch, capsys
    ):
        target = tmp_path / "out.jsonl"
        assert main(run(model, clips, target)) == 0
        monkeypatch.setattr("erc.recognizer.load", lambda *a, **k: pytest.fail("opened the model"))
        assert main(run(model, clips, target)) == 0
        assert "nothing to do" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "other", ["options", "inputs", "model", "the file itself", "nothing known"]
    )
    def test_other_settings_are_refused(self, other, model, clips, tmp_path, capsys):
        target = tmp_path / "out.jsonl"
        source = write_clips(tmp_path / "few", 3)
        folder = tmp_path / "model"
        shutil.copytree(model, folder)
        assert main(run(folder, source, target)) == 0
        assert main(run(model, source, target)) == 0  # a copy of a model is the same model
        more: list[str] = []
        if other == "options":
            more = ["--top-k", "2"]
        elif other == "inputs":
            os.utime(source / "000.wav", (0, 0))
        elif other == "model":
            config = json.loads((folder / "config.json").read_text("utf-8"))
            config["meta"]["prediction"] = {"temperature": 2.0}
            del config["files"]
            (folder / "config.json").write_text(json.dumps(config), "utf-8")
        elif other == "the file itself":
            target.write_text("edited", "utf-8")
        else:
            (tmp_path / "out.jsonl.run.json").unlink()
        before = target.read_bytes()
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(run(folder, source, target, *more))
        err = capsys.readouterr().err
        assert stop.value.code == 2
        assert "--overwrite" in err
        assert other in err or other in ("the file itself", "nothing known")
        assert target.read_bytes() == before
        assert main(run(folder, source, target, *more, "--overwrite")) == 0
        assert target.read_bytes().count(b"\n") == 3

    def test_two_commands_do_not_write_one_file(self, model, clips, tmp_path, capsys):
        target = tmp_path / "out.jsonl"
        with alone(str(target)):
            with pytest.raises(SystemExit) as stop:
                main(run(model, clips, target))
            assert stop.value.code == 2
            assert f"{target} is being written" in capsys.readouterr().err
        assert main(run(model, clips, target)) == 0
        assert not list(tmp_path.glob(".*"))

    def test_a_place_that_cannot_be_written_is_one_line(self, model, clips, tmp_path, capsys):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(SystemExit) as stop:
            main(run(model, clips, tmp_path / "file" / "out.csv"))
        assert stop.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1

    def test_rows_nobody_counted_are_cut_off(self, tmp_path):
        sink = Resumable(tmp_path / "a", {"x": 1})
        sink.append("one\ntwo\n", 2, 1)
        with sink.part.open("a") as file:
            file.write("half a li")
        again = Resumable(tmp_path / "a", {"x": 1})
        assert (again.rows, again.failures, again.complete) == (2, 1, False)
        again.append("three\n", 1)
        again.finish()
        assert (tmp_path / "a").read_text() == "one\ntwo\nthree\n"
        assert Resumable(tmp_path / "a", {"x": 1}).complete

    def test_a_lost_part_starts_anew(self, tmp_path):
        sink = Resumable(tmp_path / "a", {})
        sink.append("one\n", 1)
        sink.part.unlink()
        assert Resumable(tmp_path / "a", {}).rows == 0

    def test_killed_between_the_last_two_steps(self, tmp_path, monkeypatch):
        sink = Resumable(tmp_path / "a", {})
        sink.append("one\n", 1)
        with monkeypatch.context() as patch:
            patch.setattr("erc.cli.predict_resume.os.replace", lambda *a: 1 / 0)
            patch.setattr(
                "erc.cli.predict_resume.write_json", lambda p, v: Path(p).write_text(json.dumps(v))
            )
            with pytest.raises(ZeroDivisionError):
                sink.finish()
        assert Resumable(tmp_path / "a", {}).complete
        assert (tmp_path / "a").read_text() == "one\n"

    def test_ctrl_c_says_what_is_kept(self, model, clips, tmp_path, monkeypatch, capsys):
        def stop(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("erc.cli.predict._keep", stop)
        with pytest.raises(SystemExit) as stopped:
            main(run(model, clips, tmp_path / "out.jsonl"))
        assert stopped.value.code == 130
        assert "0 of 5 rows are kept" in capsys.readouterr().err


class TestShell:
    def test_a_closed_pipe_ends_quietly(self, exported, clips):
        many = " ".join([str(clips)] * 40)
        words = (
            f"{sys.executable} -m erc predict {many} --model {exported} -q | head -1 >&2; "
            "exit ${PIPESTATUS[0]}"
        )
        env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            ["bash", "-c", words], env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 141
        warning, row = done.stderr.splitlines()
        assert "simulated" in warning
        assert row.startswith("{")

    def test_a_reader_that_has_gone(self, model, clips, monkeypatch):
        for words in (["info", str(model)], ["predict", str(clips), "--model", str(model)]):
            end, begin = os.pipe()
            os.close(end)
            with open(begin, "w") as screen, monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", screen)
                with pytest.raises(SystemExit) as stop:
                    main(words)
                assert stop.value.code == 141

    def test_no_standard_output_at_all(self, model, clips, monkeypatch):
        monkeypatch.setattr(sys, "stdout", None)
        assert main(["predict", str(clips), "--model", str(model), "-o", "-", "-q"]) == 0

    def test_errors_under_fire_are_one_line(self, tmp_path):
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "fire", "erc.corpora", "find", "--root=nowhere"],
            env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1

    def test_help_is_grouped(self):
        page = erc("--help").stdout.decode()
        order = [page.index(f"\n  {name} ") for name in ("demo", "check", "train", "predict")]
        assert order == sorted(order)
        assert "examples:" in page

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion(self, shell, capsys):
        assert main(["completion", shell]) == 0
        script = capsys.readouterr().out
        assert "predict" in script
        assert "top-k" in script

    def test_completion_in_a_real_bash(self, tmp_path):
        script = tmp_path / "erc.bash"
        script.write_bytes(erc("completion", "bash").stdout)
        ask = (
            f"source {script}; COMP_WORDS=(erc predict --form); COMP_CWORD=2; COMP_TYPE=9; "
            "_shtab_erc; echo ${COMPREPLY[@]}"
        )
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "--format", done.stderr
