"""The starter's recipe on planted corpora, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from erc.base.errors import CheckpointError
from erc.model.emotion import Encoded
from erc.model.encoders import SpeechEncoder
from erc.model.fusion.familiar import Familiar
from erc.studies import starter
from erc.studies.starter import Clips, Places, Scale, fit
from erc.studies.starter_build import _several, check_encoder, model_of
from erc.studies.starter_scores import (
    ADAPTED,
    KNOWN,
    PLAIN,
    POOLED,
    STRANGE,
    Pooled,
    measure,
    table,
)

D = 12


def planted(names: str, emotions: int = 4, speakers: int = 6, each: int = 5, **options) -> Clips:
    """Corpora of speakers who say everything: each corpus is a shift, each emotion an axis.

    Args:
        names: a letter a corpus; a capital one turns the axes round, as where anger is quiet.
        options: `signal`, how far an emotion moves; `emotions_of`, letter → those it has.
    """
    random = np.random.default_rng(0)
    signal, emotions_of = options.get("signal", 4.0), options.get("emotions_of", {})
    rows = []
    for name in names:
        place = np.random.default_rng(ord(name.lower())).normal(0, 12, D)
        sign = -1.0 if name.isupper() else 1.0
        for speaker in range(speakers):
            voice = random.normal(0, 1, D)
            for e in emotions_of.get(name, range(emotions)):
                for _ in range(each):
                    x = place + voice + random.normal(0, 1, D)
                    x[e] += sign * signal
                    rows.append((x, name, f"{name}/{speaker}", e))
    x, corpus, speaker, emotion = zip(*rows, strict=True)
    return Clips(np.array(x), np.array(corpus), np.array(speaker), np.array(emotion), emotions)


def accuracy(said: np.ndarray, clips: Clips) -> float:
    return float((said.argmax(1) == clips.emotion).mean())


def test_places_are_the_discriminant_of_gaussians():
    clips = planted("ab")
    scale = Scale.of(clips)
    z, strength = scale(clips.features), 0.3
    found = Places(z, clips)
    w, places = found.coordinates(strength)
    near = ((z @ w)[:, None] - places) ** 2
    # Gaussian densities written down, with the covariance within places, every place the same weight
    code = [found.names.index(pair) for pair in zip(clips.corpus, clips.emotion, strict=True)]
    means = np.stack([z[np.array(code) == k].mean(0) for k in range(len(found.names))])
    within = np.mean([np.cov(z[np.array(code) == k].T, bias=True) for k in range(len(means))], 0)
    covariance = within + strength * np.trace(within) / D * np.eye(D)
    rest = z[:, None] - means
    distance = np.einsum("nki,ij,nkj->nk", rest, np.linalg.inv(covariance), rest)
    ours = near.sum(-1)
    np.testing.assert_allclose(ours - ours[:, :1], distance - distance[:, :1], atol=1e-6)


def test_corpora_that_contradict_each_other_do_not_hurt_each_other():
    clips = planted("aB")
    other = planted("aB", speakers=9)  # of whom three are new
    new = other.where(np.isin(np.char.rpartition(other.speaker, "/")[:, 2], ["6", "7", "8"]))
    said, strange = fit(clips)(new.features)
    assert accuracy(said, new) > 0.9
    assert (strange < 0.5).mean() > 0.9
    assert accuracy(Pooled(clips)(new.features), new) < accuracy(said, new) - 0.1


def test_a_stranger_is_known_as_one_and_answered_without_confidence():
    head, stranger = fit(planted("ab")), planted("z")
    said, strange = head(stranger.features)
    assert (strange > 0.5).all()
    sure = said.max(1).mean()
    assert sure < accuracy(said, stranger) + 0.2
    own = starter.against_own(stranger, False, head.scale.mean)
    assert accuracy(head(own, adapted=True)[0], stranger) > accuracy(said, stranger)


def test_where_nothing_is_to_be_known_nothing_is_claimed():
    clips = planted("abc", signal=0.0)
    found = measure(clips, np.ones(len(clips), bool)).scores
    ours = [s for s in found if s.system == "starter"]
    assert len(ours) == 3 * 2 + 3 * 2
    assert np.mean([s.uar for s in ours]) == pytest.approx(0.25, abs=0.06)
    assert max(s.confidence for s in ours) < 0.4
    assert sum(s.low <= 0.25 <= s.high for s in ours) >= len(ours) - 2


def test_what_is_measured():
    clips = planted("abC", emotions_of={"b": (0, 1, 2)})
    scored = np.arange(len(clips)) % 7 > 0
    found = measure(clips, scored)
    by = {(s.voices, s.corpus, s.heard, s.system): s for s in found.scores}
    strange = by[STRANGE, "a", PLAIN, "starter"]
    assert strange.emotions == 3  # those of all corpora
    shared = scored & (clips.corpus == "a") & (clips.emotion < 3)
    assert (strange.utterances, strange.speakers) == (shared.sum(), 6)
    assert by[KNOWN, "a", PLAIN, "starter"].emotions == 4
    assert by[KNOWN, "C", PLAIN, "starter"].uar > 0.9
    assert by[STRANGE, "C", ADAPTED, "starter"].uar < 0.34  # its axes are turned round
    assert found.confusions["a"].sum() == shared.sum()
    assert len(found.given) == scored.sum()
    assert (np.diff(found.given) >= 0).all()
    lines = table(found.scores).splitlines()
    first = min(
        (s for s in found.scores if (s.voices, s.heard, s.system) == (STRANGE, PLAIN, "starter")),
        key=lambda s: s.uar,
    )
    assert f"| {first.corpus} | {PLAIN} | starter | {first.uar:.3f}" in lines[2]
    assert sum(POOLED in line for line in lines) == 9


def test_an_emotion_of_one_corpus_is_not_told_of_the_others():
    clips = planted("ab", emotions_of={"a": (0, 1, 2)})
    said, _ = fit(clips)(clips.features[clips.corpus == "a"])
    assert said[:, 3].mean() < 0.02
    assert said[:, 3].max() < 0.1  # as far as it takes some for strangers


def test_every_emotion_of_every_corpus_counts_the_same():
    clips = planted("ab", emotions_of={"b": range(2)})
    clips = clips.where(np.arange(len(clips)) % 7 > 0)
    weights = starter.even(clips)
    assert weights.mean() == pytest.approx(1)
    sums = {
        (c, e): weights[(clips.corpus == c) & (clips.emotion == e)].sum()
        for c, e in zip(clips.corpus, clips.emotion)
    }
    assert len(sums) == 6
    np.testing.assert_allclose(list(sums.values()), len(clips) / 6)


def test_one_corpus_is_enough():
    said, _ = fit(planted("a"))(planted("a").features)
    assert accuracy(said, planted("a")) > 0.9


def test_the_model_says_what_the_head_says():
    head = fit(planted_for(SIZE := 16))
    config = WhisperConfig(
        d_model=SIZE, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16, num_mel_bins=80
    )  # fmt: skip
    model = model_of(head, SpeechEncoder(WhisperEncoder(config), layer="middle"))
    clips = planted_for(SIZE)
    x = torch.from_numpy(clips.features).float().reshape(-1, *model.branches["speech"].shape)
    with torch.no_grad():
        said = model.fuse(Encoded({"speech": x}, {"speech": torch.ones(len(x), dtype=torch.bool)}))
    p, _ = head(clips.features)
    np.testing.assert_allclose(said.logits.softmax(1).numpy(), p, atol=2e-5)
    assert p[:, 6].max() < 1e-6  # nobody showed disgust


def test_another_encoder_is_refused():
    config = WhisperConfig(
        d_model=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16
    )
    with pytest.raises(CheckpointError, match="'mine' is not openai/whisper-tiny"):
        check_encoder(SpeechEncoder(WhisperEncoder(config)), "mine")


def test_the_encoder_of_the_starter_is_taken(shared):
    check_encoder(SpeechEncoder.from_name(str(shared / "encoders/whisper-tiny-en")), "it")


def planted_for(size: int) -> Clips:
    """Of as many features as a middle layer's mean and deviation, in KEMDy's space."""
    clips = planted("ab")
    wide = np.concatenate([clips.features, clips.features[:, :1]] * 4, 1)[:, : 2 * size]
    wide = wide + np.random.default_rng(1).normal(0, 1, wide.shape)
    return Clips(wide, clips.corpus, clips.speaker, clips.emotion, 7)


def test_familiar_is_the_mixture_that_it_says():
    fusion = Familiar(5, emotions=3, axes=2, places=4)
    random = torch.Generator().manual_seed(0)
    fusion.places.copy_(torch.randn(4, 2, generator=random))
    fusion.member.copy_(torch.eye(3)[[0, 1, 2, 0]])
    fusion.far.fill_(3.0)
    v = torch.randn(6, 7, generator=random)
    said = fusion([v], [torch.ones(6, dtype=torch.bool)]).double().numpy()
    z, s, r = (x.double().numpy() for x in v.split([2, 3, 2], 1))
    for row in range(6):
        density = [np.exp(-((z[row] - m) ** 2).sum() / 2) for m in fusion.places.double().numpy()]
        density.append(np.exp(-1.5))
        share = np.array(density) / np.sum(density)
        across = np.exp(s[row]) / np.exp(s[row]).sum()
        p = share[4] * across + [share[0] + share[3], share[1], share[2]]
        np.testing.assert_allclose(np.exp(said[row, :3]), p, rtol=1e-5)
    np.testing.assert_allclose(said[:, 3:], r, rtol=1e-6)


def test_a_sentence_of_one_emotion_is_not_scored():
    text = np.array(["doors", "doors", "rain", "rain"])
    assert _several(text, np.array([0, 1, 2, 2])).tolist() == [True, True, False, False]
