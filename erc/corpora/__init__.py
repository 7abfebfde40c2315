"""Corpora: raw folders → `Utterance`. One file a corpus; what lies beside them helps several.

A file is a corpus if it says by what files its folder is known and how to read it:

    FILES = "annotation/Session*_res.csv"
    def read(root: Path, report: Report, *, option: bool = False) -> Iterator[Utterance]

and what it is, for people (`erc corpora`):

    ABOUT = About("KEMDy19", "Korean", …)

It may also say which emotions and dimensions it is rated in, if those are not KEMDy's:

    SPACE = Space(("joy", "boredom", …), (Dimension("dominance", 1, 7), …))

`config/dataset/NAME.yaml` names it, its place and its options for training; nothing else lists it.

Enters: a folder or table, as its owner distributes it. Leaves: `Utterance`s, and a `Report` of every
row that was left out or corrected.
May import: base.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from erc.base.errors import ConfigError, CorpusError, did_you_mean
from erc.base.space import KEMDY, Space, space
from erc.base.terms import NONE_NEEDED, UNKNOWN, Terms
from erc.corpora.about import YOURS
from erc.corpora.packed import Packed
from erc.corpora.utterance import SIMULATED, Report, Utterance


@dataclass(frozen=True)
class Corpus:
    """All usable utterances of one root folder, in a stable order, and the report of the others."""

    name: str
    root: Path
    utterances: Sequence[Utterance]
    report: Report
    space: Space = KEMDY  # what it is rated in
    licences: Mapping[str, str] = field(default_factory=dict)  # corpus name → as its owner declares
    parts: tuple[Corpus, ...] = ()  # of a mix, see `erc.corpora.mixing`
    labels: Mapping[str, Mapping[str, str | None]] = field(
        default_factory=dict
    )  # of a mix: corpus →
    # its emotion → what that counts as; None: nothing

    @property
    def simulated(self) -> bool:
        """True if no person was recorded: the folder, or one in it, carries the note `SIMULATED`. Of a
        mix: if that holds of any part."""
        if self.parts:
            return any(part.simulated for part in self.parts)
        return any(self.root.glob(SIMULATED)) or any(self.root.glob(f"*/{SIMULATED}"))

    @property
    def terms(self) -> list[Terms]:
        """Under which terms it may be used, each once; simulated speech has none to obey."""
        if self.parts:
            return list(dict.fromkeys(one for part in self.parts for one in part.terms))
        if self.simulated:
            return [Terms("data: simulated by erc", NONE_NEEDED)]
        return [Terms(f"data: {name}", licence) for name, licence in self.licences.items()]


@functools.cache
def readers() -> Mapping[str, ModuleType]:
    """Corpus name → its file, of all that are here, in the order of their names."""
    names = [file.name for file in pkgutil.iter_modules(__path__) if not file.ispkg]
    found = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: module for name, module in found.items() if hasattr(module, "FILES")}


def reader(name: str) -> ModuleType:
    """The file of a corpus.

    Raises:
        ConfigError: there is no such corpus.
    """
    known = readers()
    if name not in known:
        raise ConfigError(
            f"corpus '{name}' is not one of {', '.join(known)}{did_you_mean(name, known)}"
        )
    return known[name]


def facts(names: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Corpus name → what it is: its `ABOUT`, its label space, and `files`, by which it is known.

    Args:
        names: which ones; none: all that are here.

    Raises:
        ConfigError: there is no such corpus.

    >>> facts(["kemdy20"])["kemdy20"]["utterances"]
    13462
    """
    found = {}
    for name in names or readers():
        module = reader(name)
        found[name] = {
            **module.ABOUT._asdict(),
            **space_of(name).to_json(),
            "files": module.FILES,
        }
    return found


def options_of(name: str) -> list[str]:
    """Names of the options that the corpus's `read` takes."""
    return list(inspect.signature(reader(name).read).parameters)[2:]


def space_of(name: str, options: Mapping[str, Any] = MappingProxyType({})) -> Space:
    """What a corpus is rated in: its `SPACE`, or what its options `emotions` and `dimensions` say.

    Raises:
        ConfigError: they do not make a label space.
    """
    if {"emotions", "dimensions"} & set(options_of(name)):
        return space(options.get("emotions"), options.get("dimensions"))
    return getattr(reader(name), "SPACE", KEMDY)


def load(name: str, root: str | Path, **options: Any) -> Corpus:
    """Read a corpus folder (or manifest file) into utterances.

    Args:
        name: one of `readers()`.
        root: the corpus folder; for `manifest` the CSV, JSONL or Parquet file.
        options: those of the corpus's `read`. None: its default; an option that it does not have may
            be None or false.

    Raises:
        ConfigError: unknown corpus name or option.
        CorpusError: the folder is missing, empty or not of this layout; no row is usable.
        LabelError: a label that the corpus's label space does not have.
    """
    allowed = options_of(name)
    for key, value in options.items():
        if value and key not in allowed:
            raise ConfigError(
                f"corpus '{name}' has no option '{key}'{did_you_mean(key, allowed)}; "
                f"it has: {', '.join(allowed) or 'none'}"
            )
    report = Report()
    given = {k: v for k, v in options.items() if k in allowed and v is not None}
    utterances = Packed(reader(name).read(Path(root), report, **given))
    if not utterances:
        raise CorpusError(f"{root}: no usable utterance\n{report}")
    licence = str(given.get("licence") or reader(name).ABOUT.licence)
    names = dict.fromkeys(u.corpus for u in utterances)
    licences = dict.fromkeys(names, UNKNOWN if licence == YOURS else licence)
    return Corpus(name, Path(root), utterances, report, space_of(name, given), licences)


def find(root: str | Path, name: str | None = None, **options: Any) -> Corpus:
    """Read the corpus at `root`, or all KEMDy corpora in it as one; the layout tells which.

    Args:
        root: a corpus folder, a manifest (file or folder), or a folder that holds KEMDy folders.
        name: one of `readers()`; None: what `root` looks like.
        options: see `load`; of several corpora each is given those that it has.

    Raises:
        ConfigError: unknown name, or an option that no corpus found here has.
        CorpusError, LabelError: see `load`.
    """
    places = locate(Path(root), name.lower() if name else None)
    if len(places) == 1:
        return load(*places[0], **options)
    known = {key for n, _ in places for key in options_of(n)}
    parts = []
    for n, path in places:
        foreign = known.difference(options_of(n))
        parts.append(load(n, path, **{k: v for k, v in options.items() if k not in foreign}))
    report = Report()
    for part in parts:
        report.add(part.report)
    utterances = Packed(u for part in parts for u in part.utterances)
    licences = {name: licence for part in parts for name, licence in part.licences.items()}
    name = "+".join(part.name for part in parts)
    return Corpus(name, Path(root), utterances, report, licences=licences)


def layout(root: Path) -> str | None:
    """Which corpus lies directly in `root`, by its files; None if none that we know."""
    for name, module in readers().items():
        if any(root.glob(module.FILES)):
            return name
    return "manifest" if root.is_file() else None


def locate(root: Path, name: str | None) -> list[tuple[str, Path]]:
    """(corpus name, folder) of what `root` is, or of the KEMDy folders in it."""
    here = layout(root)
    if here and name in (None, here):
        return [(here, root)]
    inside = [(layout(path), path) for path in sorted(root.glob("*/"))]
    kemdy = [(n, path) for n, path in inside if n and n.startswith("kemdy") and name in (None, n)]
    copies = [n for n, _ in kemdy]
    if len(set(copies)) < len(copies):
        found = ", ".join(str(path) for _, path in kemdy)
        raise ConfigError(
            f"{root} holds more than one copy of a corpus ({found}): name one of them"
        )
    if kemdy:
        return kemdy
    name = name or next((n for n in readers() if n in root.name.lower()), None)
    if name is None:
        raise CorpusError(
            f"{root.absolute()} {'is not a corpus' if root.exists() else 'does not exist'}. Expected "
            f"the folder of {', '.join(readers())} as its owner distributes it (`erc corpora NAME` "
            "says by which files it is known), or KEMDy folders in it. Give such a folder "
            f"(`ln -s /where/it/is {root}`), "
            "write a manifest.csv (columns id, audio, text, speaker, session, emotion), "
            "or use dataset=synthetic, which needs no corpus"
        )
    return [(name, root)]
