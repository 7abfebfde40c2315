from __future__ import annotations

import hashlib
from random import Random

import pytest

from erc.datasets import contents
from erc.datasets.contents import ROW, SUM, Contents


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "FRESH", -1)  # believed at once
    paths = [tmp_path / f"{i}.wav" for i in range(50)]
    for path in paths:
        path.write_bytes(path.name.encode() * 100)
    return paths


@pytest.fixture
def read(monkeypatch):
    """Names of the files that were read."""
    found, real = [], hashlib.file_digest

    def count(file, name):
        found.append(file.name)
        return real(file, name)

    monkeypatch.setattr("erc.datasets.contents.hashlib.file_digest", count)
    return found


def test_a_file_is_read_once_and_its_hash_is_that_of_its_bytes(files, tmp_path, read):
    kept = tmp_path / "kept"
    first = Contents(kept)
    told = [first.of(path) for path in files * 2]
    assert told == [hashlib.blake2b(p.read_bytes()).hexdigest()[:32] for p in files] * 2
    assert len(read) == 50
    first.keep()
    again = Contents(kept)
    assert [again.of(path) for path in files] == told[:50]
    assert len(read) == 50
    assert kept.stat().st_size == 50 * ROW.itemsize + SUM
    assert again.of(tmp_path / "none.wav") is None


def test_a_changed_file_is_read_again_and_kept_once(files, tmp_path, read):
    kept = tmp_path / "kept"
    for words in (b"a", b"bb", b"ccc"):
        files[7].write_bytes(words)
        now = Contents(kept)
        assert [now.of(path) for path in files][7] == hashlib.blake2b(words).hexdigest()[:32]
        now.keep()
    assert len(read) == 50 + 2
    assert kept.stat().st_size == 50 * ROW.itemsize + SUM


def test_the_order_of_asking_does_not_change_the_file(files, tmp_path):
    told = []
    for seed in range(3):
        one = Contents(tmp_path / f"kept{seed}")
        for path in Random(seed).sample(files, 50):
            one.of(path)
        one.keep()
        told.append(one.file.read_bytes())
    assert told[0] == told[1] == told[2]


def test_a_damaged_file_is_begun_anew(files, tmp_path, read):
    one = Contents(tmp_path / "kept")
    told = [one.of(path) for path in files]
    one.keep()
    whole, draw = one.file.read_bytes(), Random(0)
    for attack in range(40):
        data = bytearray(whole)
        place = draw.randrange(len(data))
        if attack % 2:
            data[place] ^= 1 << draw.randrange(8)
        else:
            del data[place:]
        one.file.write_bytes(data)
        read.clear()
        again = Contents(one.file)
        assert [again.of(path) for path in files] == told
        assert len(read) == 50


def test_more_files_than_are_remembered_are_still_right(files, tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "RECENT", 3)
    one = Contents(tmp_path / "kept")
    told = [one.of(path) for path in files * 2]
    one.keep()
    assert told == [Contents(one.file).of(path) for path in files] * 2
