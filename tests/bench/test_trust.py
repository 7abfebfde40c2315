"""Shortened attacks of bench/trust/, each by seed; `make trust` runs all of them."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="pip install 'erc[train]'")


def test_hostile_model_folders_are_refused_fast_and_run_nothing():
    from bench.trust import model_folders

    found = model_folders.attack(copies=1, seed=0, step=4)
    assert len(found) > 35
    for name, (outcome, seconds, megabytes) in found:
        assert outcome == "refused", name
        assert seconds < 4 * model_folders.SECONDS, name  # of a machine that is busy
        assert megabytes < model_folders.MEGABYTES, name


def test_mutated_recordings_are_decoded_or_refused():
    from bench.trust import audio

    found = audio.attack(files=120, seed=1)
    for name, (outcome, seconds, megabytes) in found:
        assert outcome in ("decoded", "refused"), name
        assert seconds < 4 * audio.SECONDS, name  # of a machine that is busy
        assert megabytes < audio.MEGABYTES, name
    assert {outcome for _, (outcome, *_) in found} == {"decoded", "refused"}
