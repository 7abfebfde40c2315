"""The model card: what a model was made of, how good it is, and what it must not be used for."""

from __future__ import annotations

from typing import Any

from erc.tables import results_table

LICENCES = {  # of data and weights that a model is made from; they travel with it
    "kemdy": "KEMDy19/KEMDy20: ETRI licence agreement, research only, nothing may be redistributed",
    "kresnik/wav2vec2-large-xlsr-korean": "kresnik/wav2vec2-large-xlsr-korean: Apache-2.0",
    "klue/roberta-large": "klue/roberta-large: see its model page",
    "whisper": "Whisper: MIT",
}

USE = """\
## Use

For research on speech emotion and for tools whose users know and agree. The labels are what raters
*perceived* in acted or elicited speech, not what a person feels; scores on other languages, microphones
and kinds of speech are unknown until measured there.

Not for: judging people at work or in education (prohibited in the EU except for medical or safety
reasons, AI Act Art. 5(1)(f)), hiring, policing, lie detection, or any decision about a person. People
exposed to emotion recognition must be told (Art. 50(3)).
"""


def card(results: dict[str, Any], config: dict[str, Any]) -> str:
    """The text of a model folder's README.md.

    Args:
        results: what `results.json` holds.
        config: the resolved configuration of the run.
    """
    model, data = config["model"], config["dataset"]
    encoders = [e for e in (model["speech_encoder"], model["text_encoder"]) if e]
    origin = "simulated speech (no person was recorded)" if results["simulated"] else data["paths"]
    known = " ".join([*encoders, str(data["paths"])]).lower()
    licences = [text for key, text in LICENCES.items() if key in known and not results["simulated"]]
    return f"""\
# Emotion, valence and arousal from {
        " and ".join(
            e
            for e in (
                "speech" * bool(model["speech_encoder"]),
                "transcript" * bool(model["text_encoder"]),
            )
            if e
        )
    }

Seven emotions (surprise, fear, angry, neutral, happy, sad, disgust) as a distribution over raters,
valence (1 negative … 5 positive) and arousal (1 calm … 5 excited).

## Made of

- encoders: {", ".join(encoders)}; fusion: {model["fusion"]}
- data: {origin}
- target: {"PeakL" if model["use_peakl"] else "votes"}; loss {model["cls_loss"]} + {
        model["reg_loss"]
    }
- licences carried along: {
        "; ".join(licences) or "none known: check those of your data and encoders"
    }

## Scores

```
{results_table(results)}
```

Fold {results["fold"]} of {results["folds"]}, protocol `{results["protocol"]}`\
{
        " (the held-out fold also stopped the training: slightly optimistic)"
        if results["protocol"] == "paper"
        else ""
    }.
Intervals resample speakers. The human ceiling is one rater against the others on the same utterances.
Probabilities are calibrated with temperature {results["temperature"]:.3f}.

{USE}"""
