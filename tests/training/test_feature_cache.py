"""The table against a dictionary: union of parts, kills, damage, several writers, one layer of many."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from erc.base.errors import ConfigError
from erc.training import feature_cache
from erc.training.feature_cache import FeatureTable

KEYS = np.arange(1000, 1300, dtype=np.uint64)[::-1].copy()
WORK = np.random.default_rng(0).uniform(1, 7, len(KEYS))


def truth(keys: np.ndarray, *shape: int) -> np.ndarray:
    """Features that a key determines."""
    return np.sin(keys.astype(float)[:, None] * np.arange(1, 1 + np.prod(shape))).reshape(
        -1, *shape
    )


class Encoder:
    """Stands for an encoder: counts what it is asked, and fails after so many calls."""

    def __init__(self, fail_after: int = 10**9):
        self.calls, self.rows, self.fail_after = 0, [], fail_after

    def __call__(self, rows: np.ndarray, advance) -> np.ndarray:
        self.calls += 1
        if self.calls > self.fail_after:
            raise KeyboardInterrupt
        self.rows += rows.tolist()
        advance(len(rows))
        return truth(KEYS[rows], 4)


def read(table: FeatureTable, keys: np.ndarray = KEYS) -> np.ndarray:
    out = np.full((len(keys), *table.shape), np.nan, np.float32)
    table.read(keys, out, np.arange(len(keys)))
    return out


@pytest.fixture
def parts_of_64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "ROWS", 64)


def test_what_was_added_is_read_in_any_order(tmp_path: Path) -> None:
    table = FeatureTable(tmp_path / "t", (4,), {"encoder": "x"})
    assert table.missing(KEYS).all()
    assert not (tmp_path / "t").exists()
    for some in (KEYS[:3], KEYS[2:200], KEYS[200:]):  # one key in two parts
        table.add(some, truth(some, 4))
    again = FeatureTable(tmp_path / "t", (4,))
    assert not again.missing(KEYS).any()
    assert again.missing(np.array([1, 1299, 5000], np.uint64)).tolist() == [True, False, True]
    mixed = np.random.default_rng(1).choice(KEYS, 500)
    np.testing.assert_allclose(read(again, mixed), truth(mixed, 4), atol=1e-7)
    assert len(read(again, KEYS[:0])) == 0
    assert all(isinstance(part.values, np.memmap) for part in again.parts.values())
    assert '"encoder": "x"' in (tmp_path / "t" / "table.json").read_text()
    with pytest.raises(KeyError, match="1 of 1 rows"):
        read(again, np.array([5], np.uint64))


def test_a_row_is_placed_where_it_belongs_and_nowhere_else(tmp_path: Path) -> None:
    table = FeatureTable(tmp_path, (2,))
    table.add(KEYS[:2], truth(KEYS[:2], 2))
    out = np.zeros((5, 2), np.float32)
    table.read(KEYS[[1, 0, 1]], out, np.array([0, 2, 4]))
    np.testing.assert_allclose(out[[0, 2, 4]], truth(KEYS[[1, 0, 1]], 2), atol=1e-7)
    assert not out[[1, 3]].any()


def test_layers_of_stacked_rows(tmp_path: Path) -> None:
    table = FeatureTable(tmp_path, (2, 3, 4))  # segments, layers, D
    values = truth(KEYS, 2, 3, 4)
    table.add(KEYS, values)
    out = np.zeros((len(KEYS), 2, 4), np.float32)
    table.read(KEYS, out, np.arange(len(KEYS)), 1)
    np.testing.assert_allclose(out, values[:, :, 1], atol=1e-7)
    table.read(KEYS, out, np.arange(len(KEYS)), "mean")
    np.testing.assert_allclose(out, values.mean(2), atol=1e-6)
    out = np.zeros((len(KEYS), 2, 2, 4), np.float32)
    table.read(KEYS, out, np.arange(len(KEYS)), slice(1, 3))
    np.testing.assert_allclose(out, values[:, :, 1:3], atol=1e-7)


def test_longest_first_and_only_what_is_missing(tmp_path: Path, parts_of_64: None) -> None:
    table, encoder = FeatureTable(tmp_path, (4,)), Encoder()
    table.add(KEYS[10:20], truth(KEYS[10:20], 4))
    assert table.fill(KEYS, WORK, encoder) == len(KEYS) - 10
    assert (np.diff(WORK[encoder.rows]) <= 0).all()
    assert sorted(encoder.rows) == [*range(10), *range(20, len(KEYS))]
    np.testing.assert_allclose(read(table), truth(KEYS, 4), atol=1e-7)
    assert table.fill(KEYS, WORK, encoder) == 0
    assert not list(tmp_path.glob(".*"))  # neither claims nor temporary files stay


def test_what_was_finished_before_a_kill_stays(tmp_path: Path, parts_of_64: None) -> None:
    killed, second = Encoder(fail_after=2), Encoder()
    with pytest.raises(KeyboardInterrupt):
        FeatureTable(tmp_path, (4,)).fill(KEYS, WORK, killed)
    assert len(killed.rows) == 128
    table = FeatureTable(tmp_path, (4,))
    assert table.fill(KEYS, WORK, second) == len(KEYS) - 128
    assert not set(killed.rows) & set(second.rows)
    np.testing.assert_allclose(read(table), truth(KEYS, 4), atol=1e-7)


@pytest.mark.parametrize("damage", ["cut", "cut to nothing", "longer", "flipped", "other"])
def test_a_damaged_part_is_computed_again(tmp_path: Path, parts_of_64: None, damage, capsys):
    FeatureTable(tmp_path, (4,)).fill(KEYS, WORK, Encoder())
    file = sorted(tmp_path.glob("part-*"))[1]
    whole = file.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    damaged = {
        "cut": whole[:-1],
        "cut to nothing": b"",
        "longer": whole + b"\0",
        "flipped": flipped,
        "other": b"\0" * len(whole),
    }
    file.write_bytes(damaged[damage])
    capsys.readouterr()
    table, encoder = FeatureTable(tmp_path, (4,)), Encoder()
    rows = table.fill(KEYS, WORK, encoder)
    said = capsys.readouterr().err
    assert rows == len(encoder.rows) in (64, len(KEYS) % 64)
    assert said.count("is damaged") == 1
    assert file.name in said
    np.testing.assert_allclose(read(table), truth(KEYS, 4), atol=1e-7)


def test_no_flipped_bit_gets_through(tmp_path: Path) -> None:
    table = FeatureTable(tmp_path, (4,))
    table.add(KEYS[:2], truth(KEYS[:2], 4), work=3.0, seconds=2.0)
    [file] = tmp_path.glob("part-*")
    whole = file.read_bytes()
    for i in range(len(whole)):
        file.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        again = FeatureTable(tmp_path, (4,))
        assert again.missing(KEYS[:2]).all(), i


def test_an_unfinished_part_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = FeatureTable(tmp_path, (4,))
    table.add(KEYS[:3], truth(KEYS[:3], 4))

    def full(*paths) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("erc.base.files.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        table.add(KEYS[3:9], truth(KEYS[3:9], 4))
    assert FeatureTable(tmp_path, (4,)).missing(KEYS[:9]).tolist() == [False] * 3 + [True] * 6


def test_the_forecast_comes_first(tmp_path: Path, parts_of_64: None, capsys) -> None:
    said: list[str] = []

    def encode(rows: np.ndarray, advance) -> np.ndarray:
        said.append(capsys.readouterr().err)
        return truth(KEYS[rows], 4)

    FeatureTable(tmp_path / "new", (4,)).fill(KEYS, WORK, encode, "speech features")
    assert "speech features: 300 of 300 rows to encode, time unknown, 0.0 MB" in said[0]
    assert said[1:] == [""] * 4

    known = FeatureTable(tmp_path / "known", (4,))
    known.add(KEYS[:200], truth(KEYS[:200], 4), work=600.0, seconds=300.0)
    known.fill(KEYS, np.full(300, 4.0), encode)
    assert "100 of 300 rows to encode, about 3:20 (min:s)" in said[5]

    few = FeatureTable(tmp_path / "few", (4,))
    few.fill(KEYS[:10], WORK[:10], encode)
    assert said[-1] == ""  # nothing is said of little


def test_a_disk_that_is_too_small_is_found_out_before(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        feature_cache.shutil, "disk_usage", lambda p: type("Usage", (), {"free": 100})
    )
    encoder = Encoder()
    with pytest.raises(ConfigError, match="cache="):
        FeatureTable(tmp_path / "a" / "b", (4,)).fill(KEYS, WORK, encoder)
    assert not encoder.calls


WRITER = """
import sys
import numpy as np
from pathlib import Path
from erc.training import feature_cache
feature_cache.ROWS = 16
keys = np.arange(1, 1001, dtype=np.uint64)
def encode(rows, advance):
    for _ in range(4):  # some work, so that the two are at it together
        values = np.sin(keys[rows].astype(float)[:, None] * np.arange(1, 20001))
    return values[:, :4]
table = feature_cache.FeatureTable(Path(sys.argv[1]), (4,), {"a": 1})
sys.stdin.readline()
print(table.fill(keys, np.ones(1000), encode))
"""


def test_processes_share_the_work(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(2)
    ]  # fmt: skip
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    rows = [int(writer.communicate()[0]) for writer in writers]
    assert sum(rows) == 1000  # nothing twice
    assert min(rows) > 0
    keys = np.arange(1, 1001, dtype=np.uint64)
    np.testing.assert_allclose(read(FeatureTable(tmp_path, (4,)), keys), truth(keys, 4), atol=1e-7)
