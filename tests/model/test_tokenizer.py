"""The tokenizer trained on transcripts."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import pytest

from erc.base.errors import CheckpointError, ConfigError, CorpusError
from erc.model.tokenizer import SPECIAL, load_tokenizer, train_tokenizer

TEXTS = [
    "오늘 기분이 정말 좋아.",
    "오늘은 비가 와서 슬퍼",
    "왜 그렇게 화가 났어?",
    "정말 좋아!",
] * 3


def test_ids_are_those_of_roberta():
    tokenizer = train_tokenizer(TEXTS)
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL)) == [0, 1, 2, 3]
    ids = tokenizer(["오늘 좋아", "좋아"], padding=True)["input_ids"]
    assert ids[0][0] == tokenizer.bos_token_id == 0
    assert ids[0][-1] == tokenizer.eos_token_id == 2
    assert ids[1][-1] == tokenizer.pad_token_id == 1
    assert tokenizer("")["input_ids"] == [0, 2]


def test_texts_come_back():
    tokenizer = train_tokenizer(TEXTS)
    for text in TEXTS:
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_decomposed_hangul_and_line_breaks_are_the_same_text():
    tokenizer = train_tokenizer(TEXTS)
    plain = tokenizer(TEXTS[0])["input_ids"]
    assert tokenizer(unicodedata.normalize("NFD", TEXTS[0]))["input_ids"] == plain
    assert tokenizer(" " + TEXTS[0].replace(" ", "\n") + "\n")["input_ids"] == plain


def test_syllables_never_seen_are_unknown():
    tokenizer = train_tokenizer(TEXTS)
    assert tokenizer.unk_token_id in tokenizer("쀏")["input_ids"]


def test_vocabulary_is_bounded_and_deterministic():
    tokenizer = train_tokenizer(TEXTS, vocab_size=20)
    assert len(tokenizer) == 20
    again = train_tokenizer(iter(TEXTS), vocab_size=20)
    assert tokenizer.backend_tokenizer.to_str() == again.backend_tokenizer.to_str()


def test_it_survives_its_folder(tmp_path):
    tokenizer = train_tokenizer(TEXTS)
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert again(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
    assert again.pad_token_id == 1


@pytest.mark.parametrize("texts", [[], ["", "  \n"]])
def test_nothing_to_learn_from_is_refused(texts):
    with pytest.raises(CorpusError, match="no transcript"):
        train_tokenizer(texts)
    with pytest.raises(ConfigError, match="no room"):
        train_tokenizer(TEXTS, vocab_size=4)


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="tokenizer"):
        load_tokenizer(str(tmp_path / "none"))


def test_importing_it_does_not_import_torch():
    code = "import sys, erc.model.tokenizer; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
