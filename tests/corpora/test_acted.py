"""RAVDESS, TESS, SAVEE, Korean EmotionTTS and nEMO: small trees in the official layout, ugly files too;
the recordings beside the repository, where they lie there, have the published counts."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from erc import corpora
from erc.base.errors import ConfigError, CorpusError, LabelError
from erc.corpora import Corpus
from erc.corpora.utterance import Utterance
from erc.datasets import HF_KEMD
from erc.studies.experiment import run


def record(*paths: Path) -> None:
    """A tenth of a second of noise each."""
    rng = np.random.default_rng(0)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.uniform(-0.1, 0.1, 1600), 16000)


def emotion(corpus: Corpus, u: Utterance) -> str:
    assert sum(u.votes) == 1
    return corpus.space.emotions[u.votes.index(1)]


def counts(corpus: Corpus) -> Counter[str]:
    return Counter(emotion(corpus, u) for u in corpus.utterances)


class TestRavdess:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        names = ["03-01-02-01-01-01-01", "03-01-08-02-02-02-01", "03-01-06-01-02-01-12"]
        record(*(tmp_path / f"Actor_{name[-2:]}" / f"{name}.wav" for name in names))
        return tmp_path

    def test_names_say_everything(self, tree):
        assert corpora.layout(tree) == "ravdess"
        corpus = corpora.find(tree)
        first, second, third = corpus.utterances
        assert corpus.space.emotions == (
            "neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise"
        )  # fmt: skip
        assert [emotion(corpus, u) for u in corpus.utterances] == ["calm", "surprise", "fear"]
        assert (first.speaker, first.session, first.gender) == ("01", "01", "M")
        assert (third.speaker, third.gender, third.dialogue) == ("12", "F", "02")
        assert first.text == "Kids are talking by the door."
        assert third.text == second.text == "Dogs are sitting by the door."
        assert third.audio == tree / "Actor_12" / "03-01-06-01-02-01-12.wav"
        assert third.dimensions == ()

    def test_what_is_left_out_is_counted(self, tree):
        record(
            tree / "copy" / "Actor_01" / "03-01-02-01-01-01-01.wav",  # unpacked twice
            tree / "Actor_01" / "03-02-02-01-01-01-01.wav",
            tree / "Actor_01" / "01-01-02-01-01-01-01.wav",
            tree / "Actor_01" / "03-01-09-01-01-01-01.wav",
            tree / "Actor_01" / "03-01-00-01-01-01-01.wav",
            tree / "Actor_01" / "03-01-02-01-03-01-01.wav",
            tree / "Actor_01" / "03-01-02-01-01-01-25.wav",
            tree / "Actor_01" / "03-01-2-01-01-01-01.wav",
        )
        corpus = corpora.load("ravdess", tree)
        assert len(corpus.utterances) == 3
        assert corpus.report.dropped == {
            "recording found before; the first counts": 1,
            "song, not speech": 1,
            "recording with video": 1,
            "unknown code of an emotion": 2,
            "unknown code of a sentence or an actor": 2,
            "file name not understood": 1,
        }

    def test_folds_keep_actors_apart(self, tree):
        data = HF_KEMD(tree, "test", 1, "ravdess", num_folds="session", num_proc=1)
        assert len(data) == 1

    @pytest.mark.slow
    def test_from_folder_to_results(self, tmp_path):
        """Eight emotions and no dimension: nothing is scored that nobody rated."""
        for actor, code, sentence in product(range(1, 5), range(1, 9), (1, 2)):
            name = f"03-01-{code:02d}-01-{sentence:02d}-01-{actor:02d}.wav"
            record(tmp_path / "raw" / f"Actor_{actor:02d}" / name)
        words = [f"dataset.paths={tmp_path / 'raw'}", f"cache={tmp_path / 'c'}", "dataset=ravdess"]
        words += ["model=tiny", "trainer.accelerator=cpu", "trainer.max_epochs=1", "export=false"]
        words += ["trainer.enable_progress_bar=false", "dataset.validation_fold=0"]
        scores = run(words, tmp_path / "run").systems["speech + text"].scores
        assert scores["n"] == 16
        assert not [name for name in scores if "valence" in name or "arousal" in name]
        told = {
            file.name: file.read_text("utf-8") for file in (tmp_path / "run/model").glob("*.json")
        }
        assert any('"calm"' in text for text in told.values())
        assert not any('"valence"' in text for text in told.values())

    def test_nothing_there(self, tmp_path):
        with pytest.raises(
            CorpusError, match=r"holds no recording of Ryerson.*unpack Audio_Speech"
        ):
            corpora.load("ravdess", tmp_path)
        with pytest.raises(CorpusError, match=r"gone is no folder; wanted is that of Ryerson"):
            corpora.load("ravdess", tmp_path / "gone")

    def test_published_counts(self, shared):
        """60 trials of each of 24 actors; neutral has no strong intensity, so half as many."""
        corpus = corpora.load("ravdess", shared / "corpora" / "ravdess")
        assert counts(corpus) == dict.fromkeys(corpus.space.emotions, 192) | {"neutral": 96}
        assert set(Counter(u.speaker for u in corpus.utterances).values()) == {60}
        assert len({u.speaker for u in corpus.utterances if u.gender == "F"}) == 12
        assert not corpus.report.dropped
        agrees_with_manifest(corpus, shared / "corpora" / "ravdess", {"calm": "neutral"})


class TestTess:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        record(
            tmp_path / "OAF_back_angry.wav",
            tmp_path / "YAF_death_ps.wav",
            tmp_path / "OA_bite_neutral.wav",
        )
        return tmp_path

    def test_names_say_everything(self, tree):
        assert corpora.layout(tree) == "tess"
        corpus = corpora.find(tree)
        found = {u.id: u for u in corpus.utterances}
        assert {name: emotion(corpus, u) for name, u in found.items()} == {
            "OAF_back_angry": "angry",
            "YAF_death_ps": "pleasant surprise",
            "OAF_bite_neutral": "neutral",
        }
        assert found["YAF_death_ps"].text == "Say the word death"
        assert {u.speaker for u in found.values()} == {"OAF", "YAF"}
        assert corpus.report.corrected == {"speaker OA is OAF (known defect)": 1}

    def test_folders_of_a_copy(self, tmp_path):
        record(
            tmp_path / "OAF_Fear" / "OAF_back_fear.wav",
            tmp_path / "TESS again" / "OAF_Fear" / "OAF_back_fear.wav",
            tmp_path / "YAF_sad" / "YAF_back_sadly.wav",
            tmp_path / "YAF_sad" / "YAF_back_sad_2.wav",
        )
        assert corpora.layout(tmp_path) == "tess"
        corpus = corpora.load("tess", tmp_path)
        assert [u.id for u in corpus.utterances] == ["OAF_back_fear"]
        assert corpus.report.dropped == {
            "recording found before; the first counts": 1,
            "unknown code of an emotion": 1,
            "file name not understood": 1,
        }


class TestSavee:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        audio = tmp_path / "AudioData"
        record(audio / "DC" / "a01.wav", audio / "DC" / "su15.wav", audio / "KL" / "sa03.wav")
        return tmp_path

    def test_names_say_everything(self, tree):
        assert corpora.layout(tree) == "savee"
        corpus = corpora.find(tree)
        assert {u.id: emotion(corpus, u) for u in corpus.utterances} == {
            "DC_a01": "angry", "DC_su15": "surprise", "KL_sa03": "sad",
        }  # fmt: skip
        last = corpus.utterances[-1]
        assert (last.speaker, last.session, last.gender, last.text) == ("KL", "KL", "M", None)

    def test_what_is_left_out_is_counted(self, tree):
        audio = tree / "AudioData"
        record(audio / "XX" / "a01.wav", audio / "DC" / "z01.wav", audio / "DC" / "abc01.wav")
        record(tree / "ALL" / "JK_n30.wav")  # a copy in one folder
        corpus = corpora.load("savee", tree)
        assert "JK_n30" in {u.id for u in corpus.utterances}
        assert corpus.report.dropped == {
            "unknown speaker": 1, "unknown code of an emotion": 1, "file name not understood": 1,
        }  # fmt: skip


class TestEmotionTTS:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        plain, own = tmp_path / "plain-to-emotional", tmp_path / "emotional-to-emotional"
        record(
            plain / "ema" / "wav" / "ema00100.wav",
            plain / "emh" / "wav" / "emh00400.wav",
            own / "nea" / "wav" / "nea00201.wav",
        )
        for folder, words in (("script", "5월 17일"), ("transcript", "\ufeff오월 십칠일 \n")):
            file = plain / "ema" / folder / "ema00100.txt"
            file.parent.mkdir()
            file.write_text(words, "utf-8")
        (own / "nea" / "script").mkdir()
        (own / "nea" / "script" / "nea00201.txt").write_text("뭐라고?", "utf-8")
        return tmp_path

    def test_numbers_say_the_emotion(self, tree):
        assert corpora.layout(tree) == "emotiontts"
        corpus = corpora.find(tree)
        own, a, h = corpus.utterances
        assert [emotion(corpus, u) for u in (own, a, h)] == ["sad", "neutral", "angry"]
        assert [u.text for u in (own, a, h)] == ["뭐라고?", "오월 십칠일", None]
        assert [u.gender for u in (own, a, h)] == ["F", "F", "M"]
        assert a.dialogue == h.dialogue == "plain 100"
        assert own.dialogue == "emotional 201"
        assert (own.speaker, a.speaker) == ("nea", "ema")
        assert own.session == a.session == "A"  # it may be one person
        assert corpus.report.corrected == {"no transcript": 1}

    def test_one_part(self, tree):
        corpus = corpora.load("emotiontts", tree, part="plain")
        assert {u.id for u in corpus.utterances} == {"ema00100", "emh00400"}
        assert corpus.report.dropped == {"left out by part=plain": 1}
        with pytest.raises(
            ConfigError, match=r"part 'plane' is not one of plain, emotional.*'plain'"
        ):
            corpora.load("emotiontts", tree, part="plane")

    def test_what_is_left_out_is_counted(self, tree):
        folder = tree / "plain-to-emotional" / "emz" / "wav"
        record(*(folder / f"{name}.wav" for name in ("emz00001", "ema00000", "ema00401", "ema1")))
        assert corpora.load("emotiontts", tree).report.dropped == {
            "unknown speaker": 1, "number without emotion": 2, "file name not understood": 1,
        }  # fmt: skip

    def test_published_counts(self, shared):
        """5 % of 400 sentences of each of 5 and 10 speakers."""
        folder = shared / "corpora" / "korean_emotion"
        corpus = corpora.load("emotiontts", folder)
        assert counts(corpus) == dict.fromkeys(("neutral", "happy", "angry", "sad"), 75)
        assert len({u.speaker for u in corpus.utterances}) == 15
        assert len(corpora.load("emotiontts", folder, part="plain").utterances) == 100
        # The manifest has angry and sad as the owner's README numbers them; see the reader.
        agrees_with_manifest(corpus, folder, {"angry": "sad", "sad": "angry"})
        words = {row["id"]: row["text"] for row in manifest(folder)}
        said = {
            e: [words[u.id] for u in corpus.utterances if emotion(corpus, u) == e]
            for e in ("sad", "angry")
        }
        assert any("마음이 아프다" in text for text in said["sad"])  # "my heart aches"
        assert any("도대체" in text for text in said["angry"])  # "how often do I have to tell you"


NEMO = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"


class TestNemo:
    def tree(self, folder: Path, *lines: str, recorded: str = "WR0_surprised_64") -> Path:
        record(*(folder / "samples" / f"{name}.wav" for name in recorded.split()))
        (folder / "data.tsv").write_text("\n".join([NEMO, *lines, ""]), "utf-8")
        return folder

    def test_a_row(self, tmp_path):
        line = 'WR0_surprised_64.wav\tsurprised\t„Ród "smoka" .\tród\t        WR0\tmale\t23'
        tree = self.tree(tmp_path, line)
        assert corpora.layout(tree) == "nemo"
        corpus = corpora.find(tree)
        (u,) = corpus.utterances
        assert (u.id, emotion(corpus, u), u.text) == (
            "WR0_surprised_64", "surprise", '„Ród "smoka" .',
        )  # fmt: skip
        assert (u.speaker, u.session, u.gender, u.dialogue) == ("WR0", "WR0", "M", "64")

    def test_what_is_left_out_is_counted(self, tmp_path):
        good = "WR0_surprised_64.wav\tsurprised\tRód.\tród\tWR0\tmale\t23"
        tree = self.tree(
            tmp_path,
            good,
            good,
            good.replace("_64", "_65"),  # no recording
            good.replace("\tWR0", "\tKD0"),  # another speaker than in the name
            good.replace("\tsurprised", "\tfear"),  # another emotion than in the name
        )
        corpus = corpora.load("nemo", tree)
        assert len(corpus.utterances) == 1
        assert corpus.report.dropped == {
            "id listed before": 1, "recording not found": 1, "file name at odds with the row": 2,
        }  # fmt: skip

    def test_errors_name_file_and_row(self, tmp_path):
        with pytest.raises(CorpusError, match=r"data\.tsv is not there, a file of nEMO.*clone it"):
            corpora.load("nemo", tmp_path)
        with pytest.raises(CorpusError, match=r"data\.tsv row 2: 2 cells, the header has 7"):
            corpora.load("nemo", self.tree(tmp_path, "WR0_anger_1.wav\tanger"))
        line = "WR0_bored_1.wav\tbored\tRód.\tród\tWR0\tmale\t23"
        tree = self.tree(tmp_path, line, recorded="WR0_bored_1")
        with pytest.raises(
            LabelError, match=r"data\.tsv row 2: emotion 'bored' is not one of angry"
        ):
            corpora.load("nemo", tree)
        (tmp_path / "data.tsv").write_text("file_id\temotion\n", "utf-8")
        with pytest.raises(
            CorpusError, match="no column raw_text, speaker_id, gender; it has file_id"
        ):
            corpora.load("nemo", tmp_path)

    def test_published_recordings(self, shared, tmp_path):
        """A selection of 30 of the 90 sentences, its table written back into the official columns."""
        folder = shared / "corpora" / "nemo"
        lines = [NEMO]
        for row in manifest(folder):
            gender = {"F": "female", "M": "male"}[row["gender"]]
            word = row["id"].split("_")[1]
            cells = (f"{row['id']}.wav", word, row["text"], "", row["speaker"], gender, "23")
            lines.append("\t".join(cells))
        (tmp_path / "data.tsv").write_text("\n".join(lines), "utf-8")
        (tmp_path / "samples").symlink_to(folder / "audio")
        corpus = corpora.load("nemo", tmp_path)
        assert len(corpus.utterances) == 1495
        assert len({u.speaker for u in corpus.utterances}) == 9
        assert not corpus.report.dropped
        agrees_with_manifest(corpus, folder)


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def agrees_with_manifest(
    corpus: Corpus, folder: Path, merged: dict[str, str] | None = None
) -> None:
    """The table beside the recordings was made by somebody else, from the same names."""
    by_id = {row["id"]: row for row in manifest(folder)}
    assert len(by_id) == len(corpus.utterances)
    for u in corpus.utterances:
        row, found = by_id[u.id], emotion(corpus, u)
        assert (merged or {}).get(found, found) == row["emotion"], u.id
        assert (u.speaker, u.gender) == (row["speaker"], row["gender"])
        assert int(u.dialogue.split()[-1]) == int(row["sentence"])
        assert u.text in (None, row["text"])
