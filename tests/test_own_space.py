"""A model of nine emotions, and valence, arousal and dominance on 1–7, through every door; then one of
dimensions only, and one of emotions only. Nothing of them says seven emotions or 1–5."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import numpy as np
import planted
import pytest
import torch
from starlette.testclient import TestClient

import erc
from erc.__main__ import main
from erc.base.audio import SAMPLE_RATE
from erc.base.errors import ConfigError
from erc.base.figures import colours
from erc.base.space import KEMDY, Space, space
from erc.model.folder.checkpoint import load_model
from erc.recognizer.info import info
from erc.recognizer.prediction import table
from erc.server.app import create_app
from erc.server.run import about
from erc.server.settings import Settings
from erc.server.web import words as say
from erc.timeline import Timeline, write
from erc.timeline.averages import vector
from erc.timeline.plot import figure

NINE = space(
    [*KEMDY.emotions, "boredom", "contempt"],
    {"valence": [1, 7], "arousal": [1, 7], "dominance": [1, 7]},
)
PLACES = space([], {"valence": [-1, 1], "tension": [0, 100]})
WORDS = space(["very happy", "neutral", "calm"], {})
SPACES = {"nine": NINE, "places": PLACES, "words": WORDS}
FOREIGN = re.compile(r"\bseven\b|[^\d.]7 emotions|\b1–5|1 to 5|5 (positive|excited)|\bfear\b", re.I)
REGIONS = {"boredom": [2.0, 1.5, 0.5, 0.4], "happy": [6.0, 5.0, 0.5, 0.5]}
TEXT = "정말 좋았어"


def made(folder: Path, own: Space) -> None:
    regions = {"regions": REGIONS} if own == NINE else {}
    planted.model_folder(folder, own, {"prediction": {"txt_max_length": 40} | regions})


@pytest.fixture(scope="session", params=list(SPACES))
def any_folder(request, once) -> Path:
    return once(f"own-{request.param}", lambda folder: made(folder, SPACES[request.param]))


@pytest.fixture(scope="session")
def folder(once) -> Path:
    return once("own-nine", lambda folder: made(folder, NINE))


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    return planted.write(tmp_path_factory.mktemp("own") / "clip.wav", planted.speech(1))


@pytest.fixture(scope="session")
def talk() -> np.ndarray:
    return np.concatenate([planted.speech(k) for k in range(4)])


def timeline(folder: Path, talk: np.ndarray) -> Timeline:
    options = {"sampling_rate": SAMPLE_RATE, "vad": "none", "max_turn": 2.0, "overlap": 0.0}
    return erc.load(folder).timeline(talk, **options)


def written(found: Timeline, format: str) -> str:
    sink = io.StringIO()
    write(found, format, sink)
    return sink.getvalue()


def own(text: str, of: Space) -> None:
    """Nothing of another label space is said."""
    if "fear" in of.emotions:
        text = re.sub(r"\bfear\b", "", text)
    assert not FOREIGN.search(text), FOREIGN.search(text)


def test_numbers_are_those_of_the_head_in_their_own_units(folder, clip):
    """Against softmax and clip of what torch gives, with biases that put one value near an end."""
    recognizer = erc.load(folder, runtime="torch-fp32")
    with torch.no_grad():
        recognizer.runtime.model.head.bias[9:] = torch.tensor([3.2, 20.0, -20.0])
    one = recognizer.predict(clip, TEXT)
    encoded = recognizer.encode_all([recognizer.read(clip, TEXT)])
    tensors = {k: torch.from_numpy(v) for k, v in encoded.pooled.items()}
    net = recognizer.runtime.model
    vectors = [net.branches[m].project(tensors[m], torch.ones(1, dtype=bool)) for m in tensors]
    there = [torch.ones(1, dtype=torch.bool)] * 2
    z = net.head(net.fusion(vectors, there))[0].double().detach()
    assert list(one.probabilities) == list(NINE.emotions)
    np.testing.assert_allclose(list(one.probabilities.values()), z[:9].softmax(0), atol=1e-6)
    assert one.valence == pytest.approx(float(1.5 * z[9] - 0.5), abs=1e-5)  # 1…5 → 1…7
    assert one.valence > 5
    assert (one.arousal, one.dimensions["dominance"]) == (7, 1)  # beyond: the ends
    assert list(one.dimensions) == ["valence", "arousal", "dominance"]
    assert f"valence {one.valence:.1f}, arousal 7.0, dominance 1.0 of 1–7;" in repr(one)
    assert "9 emotions, valence, arousal, dominance" in repr(recognizer)
    inside = REGIONS["boredom"]
    placed = {"valence": inside[0], "arousal": inside[1]}
    from erc.recognizer.prediction import said

    shares = np.eye(9)[7].tolist()
    assert said(shares, placed, None, recognizer)["conflict"] is False
    assert said(shares, placed | {"valence": 6.0}, None, recognizer)["conflict"] is True
    assert said(shares, {"valence": 6.0}, None, recognizer)["conflict"] is None


def test_the_folder_says_its_space_and_the_page_of_it_too(any_folder, capsys):
    config = json.loads((any_folder / "config.json").read_text("utf-8"))
    found = Space.from_json(config)
    assert found in SPACES.values()
    assert load_model(any_folder)[0].space == found
    facts = info(any_folder)
    assert facts["gives"] == [*found.emotions, *(f"{d.name} {d.range}" for d in found.dimensions)]
    assert main(["info", str(any_folder)]) == 0
    own(capsys.readouterr().out, found)


def test_the_command(any_folder, clip, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    wanted = erc.load(any_folder)
    one, of = wanted.predict(clip, TEXT), wanted.space
    words = ["predict", str(clip), "--text", TEXT, "--model", str(any_folder), "--quiet"]
    assert main([*words, "--format", "json"]) == 0
    row = json.loads(capsys.readouterr().out)
    names = list(of.names)
    assert list(row)[: 4 + len(names)] == ["file", "label", "probabilities", *names, "confidence"]
    assert [row[n] for n in names] == pytest.approx(list(one.dimensions.values()), abs=1e-6)
    assert main([*words, "--format", "csv"]) == 0
    reader = csv.DictReader(io.StringIO(capsys.readouterr().out))
    [cells] = reader
    assert reader.fieldnames == list(table([one]).columns)
    assert reader.fieldnames[2 : 2 + len(names)] == names
    assert [k[2:] for k in cells if k.startswith("p_")] == list(of.emotions)
    for name in names:
        assert float(cells[name]) == pytest.approx(one.dimensions[name], abs=1e-6)
    for emotion in of.emotions:
        assert float(cells[f"p_{emotion}"]) == pytest.approx(one.probabilities[emotion], abs=1e-6)
    assert main([*words, "--format", "table"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in names)
    own(shown, of)
    count = len(of.emotions)
    with pytest.raises(SystemExit):
        main([*words, "--top-k", str(count + 1)])
    said = f"give 1–{count}" if count else "names no emotions"
    assert said in capsys.readouterr().err
    out = tmp_path / "many.csv"  # written, and read as complete when asked again
    assert main([*words, "-o", str(out)]) == main([*words, "-o", str(out)]) == 0
    assert out.read_text("utf-8").splitlines()[0] == ",".join(reader.fieldnames)


def test_a_word_of_two_is_one_emotion_everywhere(once, talk):
    folder = once("own-words", lambda folder: made(folder, WORDS))
    found = timeline(folder, talk)
    vtt = written(found, "vtt")
    assert "::cue(.emotion-0)" in vtt
    assert "::cue(.calm)" in vtt
    assert all(f"<c.{c}>" not in vtt for c in ("very happy",))
    own(vtt, WORDS)


def test_http(any_folder, clip):
    recognizer = erc.load(any_folder)
    of, one = recognizer.space, recognizer.predict(clip, TEXT)
    app = create_app(recognizer, Settings(), about(any_folder))
    with TestClient(app, base_url="http://127.0.0.1:8000") as http:
        facts = http.get("/info").json()
        assert Space.from_json(facts) == of
        schema = http.get("/openapi.json").json()
        file = {"file": ("a.wav", clip.read_bytes())}
        answers = {
            "/v1/predict": http.post("/v1/predict", files=file, data={"text": TEXT}),
            "/v1/predict/batch": http.post("/v1/predict/batch", json=[{"text": TEXT}]),
            "/v1/timeline": http.post("/v1/timeline", files=file),
        }
        found = answers["/v1/predict"].json()
        for path, answer in answers.items():
            entry = schema["paths"][path]["post"]["responses"]["200"]["content"]
            told = entry["application/json"]["schema"] | {"components": schema["components"]}
            validator = jsonschema.Draft202012Validator(told)
            validator.validate(answer.json())
        wrong = dict(found)
        for name in of.names:  # the schema knows the names and the scales
            wrong[name] = of.high.max() + 1
        if of.dimensions:
            one_schema = schema["components"]["schemas"]["Answer"] | {
                "components": schema["components"]
            }
            errors = list(jsonschema.Draft202012Validator(one_schema).iter_errors(wrong))
            assert {error.path[0] for error in errors} == set(of.names)
        for name in of.names:
            assert found[name] == pytest.approx(one.dimensions[name], abs=1e-5)
        assert list(found["probabilities"]) == list(one.probabilities)
        if of.emotions:
            many = http.post("/v1/predict", json={"text": TEXT, "top_k": len(of.emotions) + 1})
            assert many.status_code == 422
            few = http.post("/v1/predict", json={"text": TEXT, "top_k": 2}).json()
            assert len(few["probabilities"]) == 2
        own(json.dumps({k: v for k, v in facts.items() if k != "forbidden_use"}), of)
        own(json.dumps(schema["components"]["schemas"], ensure_ascii=False), of)


def test_timeline_as_text(any_folder, talk):
    found = timeline(any_folder, talk)
    of = found.space
    k, d = len(of.emotions), len(of.dimensions)
    assert all(vector(turn).shape == (k + d,) for turn in found.turns)
    data = json.loads(written(found, "json"))
    assert Space.from_json(data) == of
    assert list(found.curves().columns) == ["time", *of.names, *(f"p_{e}" for e in of.emotions)]
    rows = list(csv.DictReader(io.StringIO(written(found, "csv"))))
    for row, turn in zip(rows, found.turns, strict=True):
        for name in of.names:
            assert float(row[name]) == pytest.approx(turn.dimensions[name])
    tiers = [t.get("TIER_ID") for t in ElementTree.fromstring(written(found, "eaf")).iter("TIER")]
    assert tiers == ["emotion", *of.names, "speaker", "text"]
    values = ElementTree.fromstring(written(found, "eaf")).findall(
        ".//REF_ANNOTATION/ANNOTATION_VALUE"
    )
    assert len(values) == d * len(found.turns)
    said = {v.text for v in values}  # numbers to a program, without a typographic minus
    assert all(np.isfinite(float(text)) for text in said)
    for format in ("vtt", "table", "csv", "json", "eaf"):
        own(written(found, format), of)
    assert sum(share for _, share in found.shares()) == pytest.approx(1 if k else 0)
    own(repr(found), of)


def test_smoothing_averages_every_dimension(folder, talk):
    plain = timeline(folder, talk)
    smooth = erc.load(folder).timeline(
        talk, sampling_rate=SAMPLE_RATE, vad="none", max_turn=2.0, overlap=0.0, smooth=1e9
    )
    weights = [t.end - t.start for t in plain.turns]
    mean = np.average([t.dimensions["dominance"] for t in plain.turns], weights=weights)
    for turn in smooth.turns:  # so slow that all turns are one
        assert turn.dimensions["dominance"] == pytest.approx(mean, rel=1e-6)


def test_the_picture_has_each_dimension_on_its_scale(any_folder, talk):
    found = timeline(any_folder, talk)
    of, fig = found.space, figure(found)
    labels = [text.get_text() for text in fig.legends[0].get_texts()]
    assert [label.rsplit(" ", 1)[0] for label in labels[: len(of.emotions)]] == list(of.emotions)
    own(" ".join(labels), of)
    if not of.dimensions:
        assert len(fig.axes) == 2
        return
    axes = fig.axes[-1]
    ticks = [t.get_text() for t in axes.get_yticklabels()]
    lines = {line.get_label().split(" ")[0]: line for line in axes.get_lines()}
    first = found.turns[0]
    if of == NINE:
        assert ticks == ["1", "4", "7"]
        expected = first.dimensions["dominance"]
        assert lines["dominance"].get_ydata()[0] == pytest.approx(expected)
    else:
        assert ticks == ["low", "middle", "high"]
        assert "tension 0–100" in labels
        expected = first.dimensions["tension"] / 100
        assert lines["tension"].get_ydata()[0] == pytest.approx(expected)
        expected = (first.dimensions["valence"] + 1) / 2
        assert lines["valence"].get_ydata()[0] == pytest.approx(expected)


def test_the_page(any_folder, clip, talk):
    recognizer = erc.load(any_folder)
    of = recognizer.space
    why = recognizer.explain(clip, TEXT)
    samples = planted.speech(1)
    page = say.answer(why.prediction, recognizer.regions, 0.0, why, samples)
    long = timeline(any_folder, talk)
    turns = say.timeline_answer(long, recognizer.regions, "a", False)
    around = (
        say.intro(of, recognizer.learned)
        + say.empty(of, recognizer.learned)
        + say.about(recognizer.config, ("speech", "text"))
    )
    spoken = say.sentence(why.prediction)
    for html in (page, turns, around, spoken):
        own(re.sub(r'href="data:[^"]*"|<section class="about".*?</div>', "", html, flags=re.S), of)
    for name in of.names:
        assert f'<span class="name">{name}</span>' in page
        assert f'<th scope="col">{name}</th>' in turns
    assert ('class="plane"' in page) is (of == NINE)
    if of == NINE:
        assert ", all of 1 to 7" in spoken
        assert "boredom</text>" in page  # where raters placed it
        assert "Of nine. No raters taught this model" in around  # its folder names no scores
    if of == PLACES:
        assert "of −1 to 1, tension " in spoken
        assert "Mean over the time spoken" in turns
        assert "<dt>Emotion</dt>" not in around
    if of == WORDS:
        assert "very happy" in page
        assert "how pleasant" not in around


def test_the_plane_is_drawn_on_the_scales_of_the_model(folder, clip):
    from erc.server.web import figures as draw

    one = replace(
        erc.load(folder).predict(clip), dimensions={"valence": 4.0, "arousal": 7.0, "dominance": 2}
    )
    svg = ElementTree.fromstring(draw.plane([one], {"boredom": (4.0, 4.0, 1.5, 3.0)})).find("svg")
    texts = [t.text for t in svg.iter("text") if t.get("class") is None]
    assert texts == [str(x) for x in range(1, 8)] * 2
    x = [float(t.get("x")) for t in svg.iter("text") if t.text in "17" and t.get("y") == "329"]
    mark, ellipse = svg.find("circle"), svg.find("ellipse")
    assert float(mark.get("cx")) == pytest.approx(sum(x) / 2)  # 4 is the middle
    assert float(ellipse.get("rx")) == pytest.approx((x[1] - x[0]) / 4)  # 1.5 of six
    assert ellipse.get("fill") == colours(NINE.emotions)["boredom"]


def test_exported(any_folder, clip, tmp_path):
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library, reason=f"exports need {library}")
    import shutil

    from erc.model.folder.export import keep_copy

    place = shutil.copytree(any_folder, tmp_path / "model")
    assert keep_copy(place, True).startswith("export ")
    a, b = (erc.load(place, runtime=name) for name in ("torch-fp32", "onnx-fp32"))
    record = json.loads((place / "exports/onnx/config.json").read_text("utf-8"))
    assert Space.from_json(record) == a.space == b.space
    parity = record["runtime"]["parity"]
    assert {k for k in parity if k.startswith("max_")} == {
        "max_probability", *(f"max_{name}" for name in a.space.names)
    }  # fmt: skip
    one, two = a.predict(clip, TEXT), b.predict(clip, TEXT)
    assert two.dimensions == pytest.approx(one.dimensions, abs=1e-4 * max([1, *a.space.high]))
    assert two.probabilities == pytest.approx(one.probabilities, abs=1e-4)
    assert two.label == one.label


def test_a_table_of_two_models_has_the_columns_of_both():
    from erc.recognizer.prediction import Failure, Prediction

    one = Prediction("a", "calm", {"calm": 1.0}, {}, 1.0, ("text",), space=WORDS)
    two = Prediction("b", None, {}, {"tension": 40.0}, None, ("text",), space=PLACES)
    rows = table([one, two, Failure("c", "no")])
    assert rows["tension"].tolist()[1] == 40.0
    assert rows["p_calm"].tolist()[0] == 1.0
    assert "arousal" not in rows
    assert list(table([Failure("c", "no")]).columns[2:4]) == ["valence", "arousal"]


def test_a_level_of_sets_needs_no_seven(folder):
    with pytest.raises(ConfigError, match="no prediction sets"):
        erc.load(folder, sets=0.9)
