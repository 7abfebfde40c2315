"""A published model, or two → what a recognizer is made of."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from erc.base.errors import CheckpointError, ConfigError, ModelWarning, optional
from erc.base.files import fingerprint
from erc.base.space import Space
from erc.model.folder import CONFIG, read_config
from erc.model.folder.find import named
from erc.recognizer.public.files import read
from erc.recognizer.public.folder import Public, describe, is_public
from erc.recognizer.public.late import KEY, MODALITIES, RULE, Fusion, LateRuntime, Shared
from erc.recognizer.runtimes import Runtime

Named = str | Path | tuple[str | Path, str | Path]


class Opened(NamedTuple):
    """What `Recognizer` takes: see `Engine`."""

    runtime: Runtime
    config: dict[str, Any]
    tokens: Callable[[str], list[int]] | None
    model: str


@dataclass(frozen=True)
class Pair:
    """A speech model, a text model, and how they are put together.

    Attributes:
        parts: "speech" and "text" → the model, described.
        fusion: weights, temperature, labels.

    Raises:
        CheckpointError: they do not share two emotions.
    """

    parts: Mapping[str, Public]
    fusion: Fusion

    @cached_property
    def shared(self) -> Shared:
        """The emotions that both know."""
        for modality, public in self.parts.items():
            if public.regression:
                raise CheckpointError(
                    f"the {modality} model {public.folder} answers {', '.join(public.space.names)} and "
                    "no emotions; late fusion is of two models of emotions"
                )
        speech, text = (self.parts[m].space.emotions for m in MODALITIES)
        return Shared.of(speech, text, self.fusion.labels)

    @cached_property
    def id(self) -> str:
        """`SPEECH+TEXT@VERSION`."""
        ids = [self.parts[m].id for m in MODALITIES]
        how = [list(self.fusion.weights), self.fusion.temperature, self.fusion.labels]
        name = "+".join(one.partition("@")[0] for one in ids)
        return f"{name}@{fingerprint([ids, how])[:8]}"

    @property
    def parameters(self) -> int:
        """How many numbers the weights of both are."""
        return sum(public.parameters for public in self.parts.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever reads its answers has to know."""
        own = [note for public in self.parts.values() for note in public.notes]
        first, *rest = dict.fromkeys(own)  # the first is the same for both
        if self.fusion.fitted:
            first = (
                "two public models, opened as they are; weights and temperature are fitted on "
                f"{', '.join(self.fusion.fitted.corpora)}; typicality and training unknown"
            )
        return tuple(dict.fromkeys([first, *rest, *self.shared.notes()]))

    def to_config(self) -> dict[str, Any]:
        """What stands in for the `config.json` of a model folder of erc."""
        configs = [self.parts[m].to_config() for m in MODALITIES]
        shares = (f"{m} {w:.3g}" for m, w in zip(MODALITIES, self.fusion.weights))
        fitted = self.fusion.fitted
        return {
            **Space(self.shared.emotions).to_json(),
            "model": {k: v for c in configs for k, v in c["model"].items()}
            | {"fusion": f"late: {', '.join(shares)}"},
            "meta": {
                "prediction": {"temperature": self.fusion.temperature}
                | ({"calibrated": True} if fitted else {}),
                "licences": [line for c in configs for line in c["meta"]["licences"]],
                "terms": [one for c in configs for one in c["meta"]["terms"]],
                "notes": list(self.notes),
            }
            | ({"heard": fitted.to_json()} if fitted else {}),
        }


def look(name: Named) -> Public | Pair | Path:
    """The published model, or the two, that a name stands for; a path: a model folder of erc.

    Args:
        name: folder or hub id; two of them, speech and text; or a folder whose `config.json` names two.

    Raises:
        CheckpointError: not a model, or one that is not opened; see `describe`.
    """
    if isinstance(name, tuple | list):
        if len(name) != 2:
            raise ConfigError(f"late fusion is of two models, speech and text; got {len(name)}")
        return pair(dict(zip(MODALITIES, name)), Fusion())
    folder = named(name)
    if not is_public(folder):
        return folder
    config = read(folder / CONFIG, lambda value: None)
    if KEY not in config:
        return describe(folder)
    entry = read(folder / CONFIG, lambda value: RULE(value[KEY]))[KEY]
    beside = {m: folder / entry[m] for m in MODALITIES}
    names = {m: str(beside[m]) if beside[m].is_dir() else entry[m] for m in MODALITIES}
    return pair(names, Fusion.from_json(entry))


def config_of(folder: Path) -> dict[str, Any]:
    """`config.json` of a model folder of erc, or what stands in for it; nothing is loaded.

    Raises:
        CheckpointError: it is no model that can be opened.
    """
    found = look(folder)
    return read_config(found) if isinstance(found, Path) else found.to_config()


def open_public(found: Public | Pair, runtime: str = "auto", device: str = "auto") -> Opened:
    """Load it.

    Args:
        runtime: "auto" or "torch-fp32": published models have no exports.
        device: auto | cpu | cuda.

    Raises:
        CheckpointError: the weights cannot be used.
        ConfigError: another runtime, or torch and transformers are not installed.
    """
    if runtime not in ("auto", "torch-fp32"):
        raise ConfigError(f"published models run as torch-fp32, not {runtime}")
    with optional("a published model"):
        from erc.recognizer.public.runtime import PublicRuntime
    for note in found.notes[1:]:  # the first is true of all of them
        warnings.warn(f"{found.id}: {note}", ModelWarning, stacklevel=3)
    config = found.to_config()
    if isinstance(found, Public):
        one = PublicRuntime(found, device)
        return Opened(one, config, one.tokens, found.id)
    parts = {m: PublicRuntime(found.parts[m], device) for m in MODALITIES}
    late = LateRuntime(parts, found.shared, found.fusion.weights)
    return Opened(late, config, parts["text"].tokens, found.id)


def pair(names: Mapping[str, str | Path], fusion: Fusion) -> Pair:
    """Two published models, described, and how they are put together.

    Args:
        names: "speech" and "text" → folder or hub id.

    Raises:
        CheckpointError: one is no published model of its modality, or they do not share two emotions.
    """
    parts = {}
    for modality, name in names.items():
        one = look(name)
        if not isinstance(one, Public) or one.modality != modality:
            what = "no published model" if not isinstance(one, Public) else f"of {one.modality}"
            raise CheckpointError(f"late fusion needs a {modality} model there; '{name}' is {what}")
        parts[modality] = one
    found = Pair(parts, fusion)
    _ = found.shared  # says what is wrong with the two
    return found
