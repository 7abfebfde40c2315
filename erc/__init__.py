"""Emotion, valence and arousal from speech and transcript, learned from the disagreement of raters.

>>> import erc
>>> recognizer = erc.load("runs/…/model")  # doctest: +SKIP
>>> recognizer.predict("clip.wav", text="정말 좋았어")  # doctest: +SKIP
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_PUBLIC = {
    "load": "erc.recognizer",
    "Recognizer": "erc.recognizer",
    "Prediction": "erc.recognizer.prediction",
    "Failure": "erc.recognizer.prediction",
    "table": "erc.recognizer.prediction",
    "EmotionModel": "erc.model.folder.published",
}
__all__ = [
    "EmotionModel",
    "Failure",
    "Prediction",
    "Recognizer",
    "__version__",
    "load",
    "table",
]


def __getattr__(name: str) -> Any:
    """Import on first use: `import erc` and `erc --help` cost no torch."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'erc' has no attribute '{name}'")
