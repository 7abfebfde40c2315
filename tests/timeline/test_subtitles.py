"""Transcripts with times, as people's tools write them; alignment against brute force."""

from __future__ import annotations

import json

import numpy as np
import pytest

from erc.base.errors import ConfigError
from erc.timeline.subtitles import Segment, align, clock, escape, pasted, read

SRT = """1
00:00:01,500 --> 00:00:04,000
<i>안녕</i> {\\an8}하세요
둘째 줄

2
01:02:03,004 --> 01:02:04,000 X1:0 X2:10
3 &amp; 4
"""
EXPECTED = [Segment(1.5, 4.0, "안녕 하세요 둘째 줄"), Segment(3723.004, 3724.0, "3 & 4")]
VTT = """WEBVTT - a title --
Kind: captions

STYLE
::cue(.a) { color: red }

NOTE
00:00 is not a cue here

name of the cue
00:01.500 --> 00:04.000 align:start
<v Ann><c.a>안녕</c> 하세요
둘째 <00:00:02.000>줄

01:02:03.004 --> 01:02:04.000
3 &amp; 4
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize(("suffix", "text"), [(".srt", SRT), (".vtt", VTT), (".SRT", SRT)])
def test_srt_and_vtt(tmp_path, suffix, text, encoding, newline):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(text.replace("\n", newline).encode(encoding))
    ann = "Ann" if text == VTT else None
    assert read(path) == [EXPECTED[0]._replace(speaker=ann), EXPECTED[1]]


def test_who_speaks_in_every_format(tmp_path):
    cue = "00:00:01.000 --> 00:00:02.000\n"
    expected = [Segment(1, 2, "hello [sic]", "Ann Lee")]
    for name, text in (
        ("a.vtt", f"WEBVTT\n\n{cue}<v.loud Ann Lee>hello</v> [sic]\n"),
        ("a.srt", f"1\n{cue}[Ann Lee]: hello [sic]\n"),
        ("a.json", '[{"start": 1, "end": 2, "text": "hello [sic]", "speaker": "Ann  Lee"}]'),
    ):
        (tmp_path / name).write_text(text)
        assert read(tmp_path / name) == expected, name
    assert read([(1, 2, "hello [sic]", "Ann Lee")]) == expected


def test_errors_do_not_repeat_what_was_said(tmp_path):
    for name, text in (
        ("a.vtt", "SECRET first line\n"), ("a.srt", "SECRET --> SECRET\nx\n"),
        ("a.json", '[{"start": "SECRET", "end": 2, "text": "SECRET"}]'),
        ("b.json", '["SECRET"]'), ("c.json", "SECRET"), ("d.json", '[{"text": "SECRET"}]'),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match=name) as caught:
            read(tmp_path / name)
        assert "SECRET" not in str(caught.value)


def test_a_line_of_one_space_belongs_to_its_cue(tmp_path):
    (tmp_path / "a.srt").write_text("1\n0:01 --> 0:02\none\n \ntwo\n\n2\n0:03 --> 0:04\nb\n")
    assert [s.text for s in read(tmp_path / "a.srt")] == ["one two", "b"]


def test_srt_with_a_missing_empty_line_and_dots(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text(
        "1\n0:01.5 --> 0:02\nfirst\n2\n0:03,25 --> 0:04\nsecond\n\n3\n0:05 --> 0:06\n\n"
    )
    assert read(path) == [Segment(1.5, 2, "first"), Segment(3.25, 4, "second")]


@pytest.mark.parametrize(
    "value",
    [
        [{"start": 3, "end": 4, "text": " b "}, {"start": 0, "end": 1.5, "text": "a", "id": 7}],
        {
            "text": "a b",
            "segments": [{"start": 0, "end": 1.5, "text": "a", "tokens": []}, [3, 4, "b"]],
        },
        [(0, 1.5, "a"), (3, 4, "b"), (5, 6, "  ")],
    ],
)
def test_json_and_values(tmp_path, value):
    expected = [Segment(0, 1.5, "a"), Segment(3, 4, "b")]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value), "utf-8-sig")
    assert read(path) == read(value) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.srt", "1\n00:00:01,000 --> x\nhello\n", r"a\.srt line 2: no time beside"),
        ("a.srt", "hello\n", r"a\.srt line 1: no cue"),
        ("a.srt", "\n\n00:02 --> 00:01\nhello\n", r"a\.srt line 3: from 2\.0 s to 1\.0 s"),
        ("a.vtt", "00:01.000 --> 00:02.000\nhello\n", r"a\.vtt line 1: .*begins with WEBVTT"),
        ("a.json", '[\n{"start": 1,\n]', r"a\.json line 3: no JSON"),
        ("a.json", '[{"start": 0, "end": 1, "text": ""}, {"start": 1}]', r"segment 2"),
        ("a.json", '{"text": "hello"}', r"segments"),
        ("a.json", '[{"start": 0, "end": "nan", "text": "x"}]', r"segment 1"),
        ("a.txt", "hello", r"\.srt, \.vtt, \.json"),
    ],
)
def test_errors_name_file_and_line(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "a.srt")


def test_an_empty_file_has_no_segments(tmp_path):
    (tmp_path / "a.srt").write_text("")
    assert read(tmp_path / "a.srt") == read([]) == []


def test_alignment_by_longest_overlap():
    turns = [(1.0, 3.0), (4.0, 8.0), (9.0, 10.0)]
    segments = [
        Segment(0.0, 0.5, "before all"),
        Segment(0.5, 2.0, "first"),
        Segment(2.0, 4.5, "more of the first: 1 s to 0.5 s"),
        Segment(2.5, 6.0, "more of the second"),
        Segment(2.5, 9.9, "over all, most of the second"),
        Segment(8.2, 8.8, "in the pause"),
        Segment(9.5, 99.0, "third"),
        Segment(12.0, 13.0, "after all"),
    ]
    assert align(segments, turns) == [None, 0, 0, 1, 1, None, 2, None]
    assert align(segments, []) == [None] * len(segments)
    assert align([Segment(1, 5, "even")], [(0, 2), (4, 6)]) == [0]


def test_alignment_is_brute_force():
    rng = np.random.default_rng(0)
    for _ in range(50):
        edges = np.sort(rng.uniform(0, 60, 20))
        turns = [tuple(pair) for pair in edges.reshape(-1, 2)]
        starts = np.sort(rng.uniform(0, 60, 30))
        segments = [Segment(s, s + rng.exponential(4), "x") for s in starts]
        for segment, found in zip(segments, align(segments, turns)):
            shared = [min(b, segment.end) - max(a, segment.start) for a, b in turns]
            assert found == (int(np.argmax(shared)) if max(shared) > 0 else None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00:00.000"),
        (59.9996, "00:01:00.000"),
        (3599.9, "00:59:59.900"),
        (360_000, "100:00:00.000"),
    ],
)
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_escape_leaves_no_markup():
    assert escape("a <b> & \n c --> d") == "a &lt;b&gt; &amp; c --&gt; d"


FIRST, SECOND = "00:00:00.000 --> 00:00:02.000", "00:00:03.400 --> 00:00:05.000"
BOTH = f"{FIRST}\n정말 좋았어\n\n{SECOND}\n하지 마\n"
SRT = f"1\n{FIRST}\n정말 좋았어\n\n2\n{SECOND}\n하지 마\n".replace(".", ",")


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("vtt", f"WEBVTT\n{BOTH}"),
        ("vtt", f"\ufeffWEBVTT\n\nNOTES-1\n{BOTH}"),
        ("vtt", f"WEBVTT\n\nSTYLE1\n{BOTH}"),
        ("vtt", f"WEBVTT\n\nNOTE\n{BOTH}"),  # an identifier, for a time follows
        ("vtt", f"WEBVTT\n\nNOTE from a --> b\nin a comment\n\nSTYLE\n::cue {{}}\n\n{BOTH}"),
        ("vtt", f"WEBVTT\n\n{BOTH.replace('정말', ' ' + chr(10) + '정말')}"),
        ("srt", SRT),
        ("srt", SRT.replace("\n", "\r\r\n")),
        ("srt", SRT.replace("\n", "\r")),
        ("srt", SRT.replace("정말 ", "정말\n\n")),
        ("srt", SRT.replace("정말 ", "정말\u2028\u2028")),
        ("srt", SRT.replace("정말 ", "<i>정말</i> ").replace("\n\n2", "\n2")),
    ],
)
def test_every_word_of_a_cue_is_read(tmp_path, suffix, content):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content.encode())
    assert [(s.start, s.end, s.text) for s in read(path)] == [
        (0, 2, "정말 좋았어"),
        (3.4, 5, "하지 마"),
    ]


def test_signs_that_are_no_tags(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text(SRT.replace("하지 마", "I <3 you > 42 < x"), "utf-8")
    assert read(path)[1].text == "I <3 you > 42 < x"


def test_rolling_captions_are_said_once(tmp_path):
    """Two lines roll, and what stands still is repeated for 10 ms, as video sites write it."""
    lines, path = ["one two", "three four", "five", "six seven"], tmp_path / "a.vtt"
    cues = []
    for i, line in enumerate(lines):
        above = lines[i - 1] + "\n" if i else ""
        cues += [f"00:0{i}.000 --> 00:0{i}.990\n{above}{line}"]
        cues += [f"00:0{i}.990 --> 00:0{i + 1}.000\n{line}"]
    path.write_text("WEBVTT\n\n" + "\n\n".join(cues) + "\n")
    assert [s.text for s in read(path)] == lines


def test_who_repeats_himself_is_no_rolling_caption(tmp_path):
    path = tmp_path / "a.vtt"
    said = ["네", "네", "네 네", "그래"]
    path.write_text(
        "WEBVTT\n\n"
        + "\n\n".join(f"00:0{i}.000 --> 00:0{i + 1}.000\n{t}" for i, t in enumerate(said)),
        "utf-8",
    )
    assert [s.text for s in read(path)] == said


def test_null_is_no_word(tmp_path):
    for content in (
        '{"text": "", "segments": null}',
        '{"segments": [{"start": 0, "end": 2, "text": null}]}',
    ):
        (tmp_path / "a.json").write_text(content)
        assert read(tmp_path / "a.json") == []


def test_pasted():
    assert pasted("정말 좋았어") is None
    assert [s.text for s in pasted(SRT)] == [s.text for s in pasted("WEBVTT\n" + BOTH)]
