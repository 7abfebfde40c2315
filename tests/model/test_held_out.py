from __future__ import annotations

import numpy as np
import pytest

from erc.base.errors import CheckpointError
from erc.model.encoded import Encoded
from erc.model.folder import HELD_OUT
from erc.model.folder.held_out import HeldOut
from erc.model.spec import Spec
from erc.model.typicality import Typicality

SPEC = Spec(("speech", "text"), {"speech": (8, 2, 3), "text": (4,)}, sequences=("speech",))


@pytest.fixture
def known() -> HeldOut:
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(5), 6)
    of = {"speech": rng.standard_normal((30, 6)), "text": rng.standard_normal((30, 4))}
    usual = {name: Typicality.fit(x, who) for name, x in of.items()}
    return HeldOut(usual, {"speech + text": np.linspace(0, 1, 20)}, 3)


def arrays(folder) -> dict[str, np.ndarray]:
    with np.load(folder / HELD_OUT) as file:
        return dict(file)


def test_what_is_read_says_the_same_and_missing_is_nan(known, tmp_path):
    known.write(tmp_path)
    rng = np.random.default_rng(1)
    encoded = Encoded(
        {"speech": rng.standard_normal((3, 8, 2, 3)), "text": rng.standard_normal((3, 4))},
        {"speech": np.ones((3, 8), bool), "text": np.array([True, False, True])},
    )
    read = HeldOut.read(tmp_path, SPEC)
    assert read.shares["speech + text"].tolist() == known.shares["speech + text"].tolist()
    assert (list(read.shares), read.speakers) == (["speech + text"], 3)
    found = read.typical(encoded)
    for name, expected in known.typical(encoded).items():
        np.testing.assert_array_equal(found[name], expected)
    assert np.isnan(found["text"]).tolist() == [False, True, False]


def test_older_folders_know_nothing(tmp_path):
    assert HeldOut.read(tmp_path, SPEC) == HeldOut()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("speech.mean", lambda x: np.full_like(x, np.nan)),
        ("speech.variances", lambda x: x * np.inf),
        ("speech.scale", lambda x: -x),
        ("text.mean", lambda x: x[:-1]),
        ("text.axes", lambda x: x.T[:1]),
        ("text.rest", lambda x: x * 0),
        ("text.rest", lambda x: np.array([x, x])),
        ("text.distances", lambda x: x[::-1]),
        ("text.distances", lambda x: x[:0]),
        ("text.distances", lambda x: np.repeat(x, 100)),
        ("shares speech + text", lambda x: x * 1.01),
        ("shares speech + text", lambda x: x[:, None]),
        ("speakers", lambda x: np.array([1, 2])),
        ("text.scale", lambda x: x.astype(str) + "?"),
        ("text.scale", lambda x: x.astype(object)),
    ],
)
def test_a_hostile_file_is_refused(known, tmp_path, name, change):
    known.write(tmp_path)
    HeldOut.read(tmp_path, SPEC)
    found = arrays(tmp_path)
    np.savez(tmp_path / HELD_OUT, **found | {name: change(found[name])})
    with pytest.raises(CheckpointError, match=HELD_OUT):
        HeldOut.read(tmp_path, SPEC)


def test_so_is_a_broken_or_packed_or_incomplete_one(known, tmp_path):
    known.write(tmp_path)
    file, found = tmp_path / HELD_OUT, arrays(tmp_path)
    whole = file.read_bytes()
    bomb = whole.replace(b"'shape': (6,)", b"'shape': (9" + b"9" * 20 + b",)")
    for data in (b"", b"no zip", whole[:-200], bomb):
        file.write_bytes(data)
        with pytest.raises(CheckpointError, match=HELD_OUT):
            HeldOut.read(tmp_path, SPEC)
    np.savez_compressed(file, **found)
    with pytest.raises(CheckpointError, match="compressed"):
        HeldOut.read(tmp_path, SPEC)
    del found["speech.axes"]
    np.savez(file, **found)
    with pytest.raises(CheckpointError, match=HELD_OUT):
        HeldOut.read(tmp_path, SPEC)
