"""Transcripts: encodings and KEMDy marks."""

from __future__ import annotations

import unicodedata

import pytest

from erc.base.errors import CorpusError
from erc.base.text import clean, decode, normalise


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "euc-kr"])
def test_decode_reads_what_korean_corpora_use(encoding: str) -> None:
    assert decode("아 정말? 그럼\n".encode(encoding)) == "아 정말? 그럼\n"


def test_decode_of_cp949_beyond_euc_kr() -> None:
    assert decode("똠방각하".encode("cp949")) == "똠방각하"


def test_decode_refuses_other_encodings_and_names_the_file() -> None:
    with pytest.raises(CorpusError, match=r"a\.txt.*UTF-8 nor CP949"):
        decode("아".encode("utf-16"), "a.txt")


def test_normalise() -> None:
    assert normalise(unicodedata.normalize("NFD", "한국\t\n 말 ")) == "한국 말"
    assert normalise(" \n") == ""


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("b/ 아 정말? o/ 그럼 (알았어+뭐) 가자 u/ \n", "아 정말? 그럼 가자"),
        ("c/ l/ n/ N/ o/ u/ b/", ""),
        ("b/l/ 그래b/b/", "그래"),
        ("*그게 뭐+ 뭐야*", "그게 뭐 뭐야"),
        ("(네) 알겠습니다 ((둘이) 같이)", "알겠습니다"),
        ("(닫지 않은 괄호", "닫지 않은 괄호"),
        ("b/아 네", "아 네"),
        ("l/.", "."),
        ("", ""),
        # ordinary text with the same letters and signs
        ("120 km/h, n/a, c/o, I/O, and/or", "120 km/h, n/a, c/o, I/O, and/or"),
        ("blue bon nun club no", "blue bon nun club no"),
        ("A+ C++ 2 l/min", "A+ C++ 2 l/min"),
        ("Bob/ 1b/", "Bob/ 1b/"),
    ],
)
def test_clean(raw: str, words: str) -> None:
    assert clean(raw) == words
    assert clean(clean(raw)) == words
