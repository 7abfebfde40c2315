"""What `erc predict --ray` is made of, without Ray: blocks, workers, parts, and how it goes on."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from erc.base import remote
from erc.base.errors import ConfigError
from erc.base.files import fingerprint
from erc.base.space import KEMDY
from erc.cli.predict_parts import Parts, name
from erc.recognizer import bulk, load
from erc.recognizer.bulk import BLOCK, Part, Task, Worker, cut

MADE = {"model": "m", "inputs": "i"}


def a_part(number: int, made: dict, rows: int = 3, errors: tuple = ()) -> Part:
    """A small part, as a worker makes it."""
    said = {"made_from": fingerprint(made), "number": number, "rows": rows, "failures": len(errors)}
    found = [{"file": f"{i}.wav", "error": "x"} for i in range(rows)]
    table = bulk._table(found, BLOCK * number, KEMDY, said)
    return Part(number, bulk._parquet(table), rows, errors)


class TestBlocks:
    def test_every_input_is_in_one_block(self):
        inputs = [{"text": str(i)} for i in range(2 * BLOCK + 1)]
        blocks = [cut(inputs, number) for number in range(3)]
        assert [one for block in blocks for one in block.inputs] == inputs
        assert [block.first for block in blocks] == [0, BLOCK, 2 * BLOCK]
        assert BLOCK % 64 == 0  # else windows are cut where plain prediction does not cut them

    def test_a_worker_answers_as_plain_prediction_and_twice_the_same(
        self, speech_model, many_clips
    ):
        files = sorted(many_clips.glob("*.wav"))[280:310]
        inputs = [{"audio": str(path), "name": path.name} for path in files]
        recognizer = load(speech_model, runtime="torch-fp32")
        task = Task(speech_model, recognizer.model, "made", {"runtime": "torch-fp32"})
        worker = Worker(pickle.loads(pickle.dumps(task)))
        [data] = worker({"block": [pickle.dumps(bulk.Block(1, BLOCK, inputs))]})["part"]
        part = pickle.loads(data)
        assert worker.answer(bulk.Block(1, BLOCK, inputs)) == part
        table = pq.read_table(io.BytesIO(part.data))
        assert bulk.about(table.schema) == {
            "made_from": "made", "number": 1, "rows": 30, "failures": 1,
        }  # fmt: skip
        rows = table.to_pylist()
        assert [row["row"] for row in rows] == list(range(BLOCK, BLOCK + 30))
        assert [row["file"] for row in rows] == [path.name for path in files]
        [error] = [row["error"] for row in rows if row["error"]]
        assert "0300.wav" in error
        assert part.errors == [error]
        plain = recognizer.predict_many(inputs)
        for row, one in zip(rows, plain, strict=True):
            if row["error"]:
                continue
            found = {k[2:]: v for k, v in row.items() if k.startswith("p_")}
            assert found == pytest.approx(one.probabilities, abs=1e-5)
            assert (row["label"], row["heard"]) == (one.label, one.heard)

    def test_a_worker_with_another_model_or_version_refuses(self, speech_model):
        with pytest.raises(ConfigError, match="copy the model there"):
            Worker(Task(speech_model, "other@00000000", "made", {})).answer(cut([], 0))
        with pytest.raises(ConfigError, match=r"a worker has erc .*, not 0\.0"):
            Worker(Task(speech_model, "", "made", {}, version="0.0")).answer(cut([], 0))

    def test_what_ends_the_work_travels_as_a_value(self, speech_model):
        worker = Worker(Task(speech_model, "other@00000000", "made", {}))
        [data] = worker({"block": [pickle.dumps(cut([], 0))]})["part"]
        assert isinstance(error := pickle.loads(data), ConfigError)
        assert "copy the model there" in str(error)


@pytest.mark.parametrize("kind", ["path", "memory"])
class TestParts:
    @pytest.fixture
    def place(self, kind, tmp_path, memory):
        return str(tmp_path / "out") if kind == "path" else "memory://bucket/out"

    def test_goes_on_with_what_is_missing(self, place):
        first = Parts(place, MADE, 3)
        assert first.missing == [0, 1, 2]
        first.put(a_part(1, MADE, errors=("bad",)))
        again = Parts(place, MADE, 3)
        assert (again.missing, again.rows, again.failures) == ([0, 2], 3, 1)
        for number in again.missing:
            again.put(a_part(number, MADE))
        assert Parts(place, MADE, 3).missing == []
        fs, root = remote.place(place)
        assert sorted(Path(one).name for one in fs.ls(root, detail=False)) == [
            "_erc.json", *map(name, range(3))
        ]  # fmt: skip

    def test_half_a_part_and_one_of_other_settings_are_answered_again(self, place):
        made = Parts(place, MADE, 4)
        for number in range(3):
            made.put(a_part(number, MADE))
        fs, root = remote.place(place)
        fs.pipe_file(f"{root}/{name(0)}", fs.cat_file(f"{root}/{name(0)}")[:-50])
        fs.pipe_file(f"{root}/{name(1)}", a_part(1, {"model": "other"}).data)
        fs.pipe_file(f"{root}/{name(3)}", a_part(2, MADE).data)
        assert Parts(place, MADE, 4).missing == [0, 1, 3]

    def test_other_settings_are_refused_by_name(self, place):
        Parts(place, MADE, 1)
        with pytest.raises(ConfigError, match="begun with other model"):
            Parts(place, MADE | {"model": "n"}, 1)
        anew = Parts(place, MADE | {"model": "n"}, 1, overwrite=True)
        assert anew.missing == [0]
        assert Parts(place, MADE | {"model": "n"}, 1).missing == [0]

    def test_what_is_not_ours_is_left_alone(self, place):
        fs, root = remote.place(place)
        fs.makedirs(root, exist_ok=True)
        fs.pipe_file(f"{root}/{name(0)}", b"somebody's")
        with pytest.raises(ConfigError, match="--overwrite replaces"):
            Parts(place, MADE, 1)
        fs.pipe_file(f"{root}/thesis.txt", b"mine")
        for overwrite in (False, True):
            with pytest.raises(ConfigError, match=r"other files \(thesis\.txt\)"):
                Parts(place, MADE, 1, overwrite)
        assert fs.cat_file(f"{root}/{name(0)}") == b"somebody's"
        with pytest.raises(ConfigError, match="is a file"):
            Parts(f"{place}/thesis.txt", MADE, 1)
