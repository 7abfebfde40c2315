"""The arithmetic of the benchmarks, on planted times and costs; nothing here depends on a clock."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # bench is not installed

from bench import BENCHMARKS, __main__, harness, isolated, machine, reference, report
from bench.harness import Entry, Row


class Clock:
    """Stands still unless a variant moves it."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def perf_counter(self) -> float:
        return self.now

    def variant(self, name, *seconds):
        times = iter(seconds)

        def run():
            self.order.append(name)
            self.now += next(times)
            return name

        return name, run


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(harness.time, "perf_counter", clock.perf_counter)
    return clock


def test_medians_ratios_and_interleaving(clock):
    row = harness.compare(
        "planted",
        clock.variant("slow", 99, 8, 12, 10),
        [clock.variant("fast", 99, 2, 1, 30), clock.variant("same", 99, 10, 10, 10)],
        units=(40, "utt"), rounds=3, warmup=1, target=5,
    )  # fmt: skip
    assert clock.order == ["slow", "fast", "same"] * 4
    slow, fast, same = row.entries
    assert (slow.median, slow.low, slow.high, slow.ratio) == (10, 8, 12, None)
    assert (fast.median, fast.ratio, same.ratio) == (2, 5, 1)
    assert (fast.per_second, row.count) == (20, "40 utt")
    assert (row.best, row.met) == (5, True)
    assert not dataclasses.replace(row, target=5.1).met
    assert dataclasses.replace(row, target=None).met is None


def test_ratios_are_per_unit(clock):
    row = harness.compare(
        "planted", clock.variant("part", 30), [clock.variant("whole", 10)],
        units=({"part": 300, "whole": 1500}, "utt"), rounds=1, warmup=0,
    )  # fmt: skip
    assert row.entries[1].ratio == pytest.approx(15)
    assert row.count == "300/1500 utt"


def test_operations_against_the_peak_of_their_type(clock, monkeypatch):
    monkeypatch.setattr(harness, "gemm_peak", {"fp32": 100.0, "bf16": 400.0}.get)
    row = harness.compare(
        "planted", clock.variant("a", 1), [clock.variant("b", 0.25)], rounds=1, warmup=0,
        gflop=50, dtype={"b": "bf16"},
    )  # fmt: skip
    assert [(e.gflops, e.peak_fraction) for e in row.entries] == [(50, 0.5), (200, 0.5)]


@pytest.mark.parametrize(("error", "equal"), [(0.01, True), (0.02, False), (float("nan"), False)])
def test_what_is_not_equal_does_not_count(clock, error, equal):
    row = harness.compare(
        "planted", clock.variant("a", 9, 9), [clock.variant("b", 1, 1)], rounds=1, target=2,
        equal=lambda a, b: error if (a, b) == ("a", "b") else 1.0, allowed=0.01,
    )  # fmt: skip
    assert row.entries[1].equal is equal
    assert row.met is equal
    assert row.best == (9 if equal else None)
    assert ("not" in report._verdict(row).lower()) is not equal


def test_what_is_not_compared_has_no_outcome(clock):
    row = harness.compare(
        "planted", clock.variant("a", 9, 9), [clock.variant("b", 1, 1)], rounds=1,
        equal=lambda a, b: None,
    )  # fmt: skip
    assert row.entries[1].error is None
    assert row.best == 9


def test_quantities():
    row = harness.quantity("bytes", "MB", ("theirs", 1200.0), [("ours", 100.0)], target=12)
    assert (row.entries[1].ratio, row.met) == (12, True)


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5])
def test_exponent_of_planted_costs(clock, power):
    def call(size):
        return harness.Isolated(3 * size**power, 100 + size, 0, None)

    row = harness.scaling("planted", call, sizes=(1, 4, 16))
    assert row.exponent == pytest.approx(power)
    assert row.met is (power <= 1.05)
    assert row.memory_growth == pytest.approx(116 / 101)

    def spend(size):
        clock.now += 3 * size**power

    here = harness.scaling("planted", spend, sizes=(1, 4, 16))
    assert here.exponent == pytest.approx(power)
    assert here.memory_growth is None


def test_exponent_is_least_squares():
    sizes, costs = [1, 2, 8, 32], [1.0, 3.0, 5.0, 40.0]
    assert harness.exponent(sizes, costs) == pytest.approx(
        np.polyfit(np.log(sizes), np.log(costs), 1)[0]
    )


def hold(megabytes: int) -> dict:
    """Touches memory; for a process of its own."""
    return {"held": len(b"\1" * (megabytes << 20)), "seconds": 7.0}


def test_peak_memory_and_answer_of_another_process():
    small, large = (
        isolated.isolated("tests.bench.test_bench:hold", size, tree=tree)
        for size, tree in ((1, False), (201, False))
    )
    assert 190 < large.rss - small.rss < 215
    assert large.value == {"held": 201 << 20, "seconds": 7.0}
    assert large.seconds == 7
    with pytest.raises(RuntimeError, match="own process"):
        isolated.peak_rss("tests.bench.test_bench:hold", "nonsense")


ROWS = [
    Row(
        "path one",
        entries=[
            Entry("a", 1, 1, 2, 3),
            Entry("b", 0.5, 0.4, 1, 3, ratio=2.0, error=1e-7, allowed=1e-6),
        ],
        target=1.5,
        check="outputs",
        count="8 utt",
    ),
    Row("path two", entries=[Entry("a", 1, 1, 2, 3), Entry("b", 1, 1, 1, 3, ratio=1.0)], target=9),
    Row(
        "growth",
        entries=[Entry("1×", 1, 1, 1, rss=9), Entry("4×", 5, 5, 5, rss=9)],
        sizes=[1, 4],
        exponent=1.16,
        target=1.05,
        memory_growth=1.0,
    ),
    harness.table("front", [{"who": "x", "GFLOP": 1.0, "F1": 0.5, "CCC": None}], ["GFLOP", "F1"]),
]


def record(rows, commit="abc"):
    return {
        "about": "Made up\n\nFor a test.", "command": "python -m bench x", "date": "2026-01-01T00",
        "commit": commit, "seconds": 1.0, "rows": [dataclasses.asdict(row) for row in rows],
    }  # fmt: skip


@pytest.fixture
def peaks(monkeypatch):
    speeds = {"fp32": 100.0, "bf16": 300.0, "int8": 700.0}
    monkeypatch.setattr(machine, "gemm_peak", speeds.get)
    return speeds


def test_results_are_merged_by_benchmark(tmp_path, peaks):
    report.merge("x", record(ROWS), folder=tmp_path)
    report.merge("y", record(ROWS[:1]), folder=tmp_path)
    peaks["fp32"] = 90.0
    report.merge("x", record(ROWS[:2], "def"), folder=tmp_path)
    path = report.merge("x", record(ROWS[:1]), quick=True, folder=tmp_path)
    assert path.name == f"{machine.slug()}.json"
    found = json.loads(path.read_text("utf-8"))
    assert found["full"]["x"]["commit"] == "def"
    assert [len(found["full"][n]["rows"]) for n in "xy"] == [2, 1]
    assert len(found["quick"]["x"]["rows"]) == 1
    assert found["machine"]["gemm_gflops"] == {"fp32": 100.0, "bf16": 300.0, "int8": 700.0}
    assert found["machine"]["cores"] >= 1


def test_page_and_plots(tmp_path, peaks):
    report.merge("x", record(ROWS), folder=tmp_path / "results")
    report.merge("z", record(ROWS[:1]), quick=True, folder=tmp_path / "results")
    page, *images = report.write(tmp_path / "results", tmp_path / "docs")
    text = page.read_text("utf-8")
    assert "| path one | ≥ 1.5× | 2× | met | `python -m bench x` |" in text
    assert "| path two | ≥ 9× | 1× | **not met** | `python -m bench x` |" in text
    assert "| growth | exponent ≤ 1.05 | 1.16 | **not met** | `python -m bench x` |" in text
    assert "| b | 500 ms (400 … 1e+03) | 2× | 1e-07 ≤ 1e-06 |" in text
    assert "| x | 1 | 0.5 |  |" in text
    assert text.count("Reduced size") == 1
    assert len(images) == 3
    for image in images:
        assert image.read_bytes().startswith(b"\x89PNG")
        assert f"(images/{image.name})" in text


def test_a_benchmark_from_the_command_line(tmp_path, peaks, monkeypatch, capsys):
    import types

    unequal = dataclasses.replace(ROWS[0], entries=[Entry("b", 1, 1, 1, error=1.0, allowed=0.1)])
    module = types.ModuleType("bench.planted", "Planted costs.\n\nMore.")
    module.run = lambda quick: [unequal] if quick else ROWS
    monkeypatch.setitem(sys.modules, "bench.planted", module)
    monkeypatch.setattr(__main__, "BENCHMARKS", ["planted"])
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    assert __main__.main(["planted"]) == 0
    assert "Planted costs" in capsys.readouterr().out
    [path] = tmp_path.glob("*.json")
    assert json.loads(path.read_text())["full"]["planted"]["commit"]
    assert __main__.main(["planted", "--quick", "--no-save"]) == 1
    with pytest.raises(SystemExit):
        __main__.main(["unknown"])


def test_studies_are_not_benchmarks():
    folder = Path(report.ROOT) / "bench"
    assert all((folder / f"{name}.py").is_file() for name in BENCHMARKS)
    assert not {"real_labels", "trilinear", "physiology"} & set(BENCHMARKS)


def test_lengths_are_those_of_the_corpus():
    seconds = reference.lengths(1500) / 16_000
    cut = np.minimum(seconds, 7)
    assert 15 / seconds.mean() == pytest.approx(4.29, abs=0.02)
    assert 7 / cut.mean() == pytest.approx(2.07, abs=0.01)
    rng = np.random.default_rng(1)
    groups = np.concatenate([rng.permutation(cut)[:1496].reshape(-1, 8) for _ in range(20)])
    assert 8 * groups.max(1).sum() / groups.sum() == pytest.approx(1.77, abs=0.02)
    assert 7 / np.minimum(reference.lengths(64) / 16_000, 7).mean() == pytest.approx(2.07, abs=0.02)


def test_reference_style_is_padded_normalised_over_zeros_and_masked_by_ones(tmp_path):
    pytest.importorskip("datasets")
    from bench.data import _samples_differ, _tokenizer, erc_build

    folder = reference.corpus(tmp_path / "c", 9)
    saved = reference.build(folder, tmp_path / "out", _tokenizer(), 4)
    batch = next(iter(reference.batches(saved)))
    assert tuple(batch["wav"].shape) == (4, 112_000)
    assert (batch["wav_mask"] == 1).all()
    assert batch["wav"].mean(1).abs().max() < 1e-4
    heard = [reference.padded(folder / f"wav/{i:06d}.wav").var(dtype=float) for i in range(4)]
    expected = [(v / (v + 1e-7)) ** 0.5 for v in heard]  # its floor shows in a quiet recording
    assert np.allclose(sorted(batch["wav"].std(1)), sorted(expected), atol=1e-4)
    built = erc_build(str(folder))
    assert len(built.store) == 9
    assert _samples_differ(saved, built.store) == 0
