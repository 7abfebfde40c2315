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
    assert decode("똠방각하".encode("cp949"), korean=True) == "똠방각하"
    assert decode("똠방각하 드라마".encode("cp949")) == "똠방각하 드라마"


TABLE = "audio,speaker,emotion,text\na.wav,{},{},{}\n"
OTHERS = [
    ("gbk", "王芳", "高兴", "今天天气真好,我们去公园吧"),
    ("gbk", "李", "生气", "你好"),
    ("big5", "陳美玲", "快樂", "今天天氣真好,我們去公園吧"),
    ("shift-jis", "田中", "喜び", "今日はいい天気ですね、公園へ行きましょう"),
    ("shift-jis", "ﾀﾅｶ", "ヨロコビ", "コンニチハ"),
    ("euc-jp", "田中", "喜び", "今日はいい天気ですね"),
    ("cp1252", "Ängström", "Ärger", "Älter À l’été À bientôt"),
    ("cp1252", "Zoë", "joie", "déjà vu"),
    ("cp1252", "Ana", "Áspero", "Áspero Ámbar Último"),
    ("cp1251", "Иванов", "радость", "Сегодня хорошая погода"),
    ("utf-16", "김민수", "행복", "정말 좋았어"),
]


@pytest.mark.parametrize(("encoding", *("speaker", "emotion", "text")), OTHERS)
def test_other_encodings_are_not_read_as_korean(encoding, speaker, emotion, text) -> None:
    with pytest.raises(CorpusError, match=r"rows\.csv: n.*save it again as UTF-8"):
        decode(TABLE.format(speaker, emotion, text).encode(encoding), "rows.csv")


@pytest.mark.parametrize(
    ("speaker", "emotion", "text"),
    [
        ("김민수", "행복", "아 정말? 그럼 같이 가자"),
        ("홍길동", "슬픔", "왜 이제야 왔어, 얼마나 기다렸는데"),
        ("F01", "angry", "그만해!"),
        ("F02", "중립", "네"),
        ("이서연", "놀람", "헐 대박"),
        ("박", "분노", "됐어, 꺼져"),
    ],
)
def test_korean_tables_in_cp949_are_read(speaker, emotion, text) -> None:
    table = TABLE.format(speaker, emotion, text)
    assert decode(table.encode("cp949")) == table


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
