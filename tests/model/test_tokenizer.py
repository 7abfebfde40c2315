"""The tokenizer trained on transcripts."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata

import pytest

from erc.base.errors import CheckpointError, ConfigError, CorpusError
from erc.model.tokenizer import (
    SPECIAL,
    load_tokenizer,
    load_tokens,
    open_tokenizer,
    read,
    train_tokenizer,
)

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


@pytest.fixture
def folder(tmp_path):
    """A tokenizer as a model folder keeps it."""
    train_tokenizer(TEXTS).save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def planted(folder, proof) -> None:
    """Code of its own, as a model on the hub may ask to have run, beside the files of `folder`."""
    (folder / "code.py").write_text(f"open({str(proof)!r}, 'w').write('ran')\n")
    for name in ("tokenizer_config.json", "config.json"):
        path = folder / name
        settings = json.loads(path.read_text()) if path.is_file() else {"model_type": "mine"}
        code = {
            "AutoTokenizer": ["code.T", "code.T"],
            "AutoConfig": "code.C",
            "AutoModel": "code.M",
        }
        path.write_text(json.dumps(settings | {"tokenizer_class": "T", "auto_map": code}))


OPENED = """
import pathlib, sys
from erc.base.errors import CheckpointError
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.tokenizer import load_tokenizer, load_tokens, open_tokenizer

place = sys.argv[1]
for call in (
    lambda: load_tokenizer(place),
    lambda: open_tokenizer(pathlib.Path(place))("좋아"),
    lambda: load_tokens(pathlib.Path(place), 40)("좋아"),
    lambda: TextEncoder.from_name(place),
    lambda: SpeechEncoder.from_name(place),
):
    try:
        print("read", call())
    except CheckpointError as error:
        print("refused", error)
"""


def test_code_beside_a_tokenizer_or_an_encoder_is_neither_run_nor_asked_about(folder, tmp_path):
    planted(folder, tmp_path / "proof")
    done = subprocess.run(
        [sys.executable, "-c", OPENED, str(folder)],
        input="y\n" * 9, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert not (tmp_path / "proof").exists()
    said = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert said == ["refused", "read", "read", "refused", "refused"], done.stdout
    assert "[y/N]" not in done.stdout + done.stderr


def changed(folder, **parts) -> None:
    value = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(value | parts))


HOSTILE = {
    "no model": {"model": None},
    "dropout": {"model": {"type": "BPE", "dropout": 0.5, "vocab": {}, "merges": []}},
    "for ever": {
        "pre_tokenizer": {
            "type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False,
        }
    },
    "very long": {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 16}
            ] * 9,
        }
    },
    "not a tokenizer": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
    "no tokens": {"normalizer": {"type": "Replace", "pattern": {"Regex": "."}, "content": ""},
                  "post_processor": None},
}  # fmt: skip


@pytest.mark.parametrize("words", HOSTILE)
def test_a_tokenizer_that_would_do_harm_is_refused(folder, words):
    changed(folder, **HOSTILE[words])
    with pytest.raises(CheckpointError, match=words):
        read(folder)


def test_a_damaged_tokenizer_is_refused(folder):
    path = folder / "tokenizer.json"
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], b"[" * 100_000, b"[]", b"\xff\xfe", b""):
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"not JSON|JSON object"):
            read(folder)
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(CheckpointError, match="32 MB"):
        read(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match="no file"):
        read(folder)


def test_training_and_answering_read_the_same_tokens(folder):
    tokens, words = load_tokens(folder, 6), open_tokenizer(folder)
    for text in [*TEXTS, "", "쀏 오늘 비가 와서 정말 슬퍼"]:
        assert tokens(text) == words(text, truncation=True, max_length=6)["input_ids"]
    assert (words.pad_token_id, words.bos_token_id, words.eos_token_id) == (1, 0, 2)
    with pytest.raises(CheckpointError, match="tokenizer"):
        load_tokens(folder, 1)
