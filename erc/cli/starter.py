"""`erc starter`: the head that comes with the package, and how it is made."""

from __future__ import annotations

from typing import Any

from erc.base.errors import ConfigError
from erc.cli.command import Option, command, place


@command(
    Option(
        "corpora", "with --build: manifests of acted speech; one with options of its own: "
        "'{paths: FOLDER, emotion_map: {angry: sad}}'", type=place, count="*", metavar="CORPUS",
    ),
    Option("--encoder", "a folder with the encoder (default: from the hub, once)", metavar="FOLDER"),
    Option("--build", "make it anew and measure it", metavar="OUT"),
)  # fmt: skip
def starter(corpora: list[Any], encoder: str | None, build: str | None) -> None:
    """Get the starter, which answers where no model is named, and show how good it is.

    Raises:
        ConfigError: corpora without --build, or --build without.
        CheckpointError: its encoder is not to be had.
        CorpusError: with --build, a corpus cannot be read.
    """
    from pathlib import Path

    from erc.model.folder import CARD
    from erc.model.folder.starter import ENCODER, folder

    if build:
        if not corpora:
            raise ConfigError("erc starter --build OUT needs corpora to learn from")
        from erc.studies.starter_build import build as make

        make(corpora, encoder or ENCODER, Path(build))
        return
    if corpora:
        raise ConfigError(f"'{corpora[0]}': corpora are for --build OUT")
    found = folder(encoder)
    text = (found / CARD).read_text("utf-8").split("---\n", 2)[-1].strip()
    print(f"{text}\n\n{found}    try: erc predict CLIP.wav --model starter")
