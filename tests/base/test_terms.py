"""Which licences forbid commercial use; what is unknown is refused, too."""

from __future__ import annotations

import pytest

from erc.base.errors import ConfigError
from erc.base.terms import Terms, all_of, commercial, from_json, of_encoder, refuse
from erc.corpora import readers
from erc.recognizer.public.known import known


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("mit", True), ("MIT License", True), ("apache-2.0", True), ("Apache License 2.0", True),
        ("bsd-3-clause", True), ("cc-by-4.0", True), ("CC BY-SA 4.0", True), ("cc0-1.0", True),
        ("gpl-3.0", True), ("CC0 1.0 (as somebody publishes it)", True), ("none needed", True),
        ("cc-by-nc-4.0", False), ("CC BY-NC-SA 3.0 DE", False), ("cc-by-nc-nd-4.0", False),
        ("Creative Commons NonCommercial", False), ("research only", False),
        ("an agreement, for research only", False), ("non-commercial", False),
        ("unknown", None), ("other", None), ("", None), ("yours", None), ("mitigated", None),
        ("openrail", None), ("GPL 3.0; the series is its owner's", None), ("mit, or ask me", None),
    ],
)  # fmt: skip
def test_what_a_licence_allows(licence, allowed):
    assert commercial(licence) is allowed


def test_corpora_and_listed_models_have_terms():
    told = {name: commercial(module.ABOUT.licence) for name, module in readers().items()}
    assert [told[x] for x in ("crema_d", "emobank", "ravdess", "nemo", "tess", "kemdy19")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip
    assert told["emovo"] is None
    dims = next(one for one in known() if one.id.startswith("audeering/"))
    assert commercial(dims.licence) is False


def test_the_strictest_counts():
    free, bound, unknown = Terms("a", "MIT"), Terms("b", "CC BY-NC 4.0"), Terms("c")
    assert all_of([free, free]) is True
    assert all_of([free, unknown]) is None
    assert all_of([free, unknown, bound]) is False
    assert all_of([]) is None
    refuse([free], "it")
    with pytest.raises(
        ConfigError, match=r"it is refused.*b: its licence 'CC BY-NC 4.0' forbids it"
    ):
        refuse([free, bound], "it")
    with pytest.raises(ConfigError, match="c: licence unknown"):
        refuse([free, unknown], "it")
    with pytest.raises(ConfigError, match="what it was made from: licence unknown"):
        refuse([], "it")


def test_old_folders_say_nothing():
    assert from_json(None) == [Terms("what it was made from")]
    kept = Terms("data: x", "CC BY 4.0")
    assert from_json([kept.to_json()]) == [kept]


def test_what_the_card_declares_wins():
    assert of_encoder("openai/whisper-tiny", "cc-by-nc-4.0").commercial is False
    assert of_encoder("openai/whisper-tiny", None).licence == "MIT"
    assert of_encoder("someone/else", None).commercial is None
