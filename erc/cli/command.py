"""What a command of `erc` is: a function, with its options beside it as records.

    @command(Option("run", "folder of a run"), Option("-o --output", "default: the screen"))
    def report(run: str, output: str | None) -> None:
        \"\"\"Write what a run did as one page.\"\"\"

`argparse` reads the words. typer and cyclopts were measured: either adds .15 to .2 s to each start.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NoReturn

from erc.base.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Option:
    """Something that a command is given: by its place ("run"), or by a name ("-o --output").

    Attributes:
        names: as typed, with a space between them; the last one names the argument of the function.
        help: in a few words.
        default: if it is not given; of a flag False.
        type: from a word to the value.
        choices: the only words allowed.
        metavar: what the help calls the value.
        count: how many values, "?" at most one, "*" any number, "+" one or more; None: just one.
        flag: it takes no value: True if it is given.
    """

    names: str
    help: str = ""
    _: KW_ONLY
    default: Any = None
    type: Callable[[str], Any] = str
    choices: Sequence[str] = ()
    metavar: str | None = None
    count: str | None = None
    flag: bool = False

    @property
    def named(self) -> bool:
        """Whether it is given by a name, in any place."""
        return self.names.startswith("-")

    @property
    def shown(self) -> str:
        """The default, for people; "" if there is none."""
        if isinstance(self.default, float):
            return f"{self.default:g}"
        return "" if self.default is None else str(self.default)

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Teach it to a parser."""
        names = self.names.split()
        if self.flag:
            parser.add_argument(*names, action="store_true", help=self.help)
            return
        said = self.help
        if self.shown not in ("", "auto") and "default" not in said:
            said = f"{said} (default {self.shown})".strip()
        parser.add_argument(
            *names, help=said, default=self.default, metavar=self.metavar, nargs=self.count,
            type=self._chosen if self.choices else self.type, choices=self.choices or None,
        )  # fmt: skip

    def _chosen(self, word: str) -> str:
        if word not in self.choices:
            raise argparse.ArgumentTypeError(
                f"'{word}' is not one of {', '.join(self.choices)}"
                f"{did_you_mean(word, self.choices)}"
            )
        return word


@dataclass(frozen=True)
class Command:
    """`erc NAME`; called with the words behind its name, it runs and returns the exit code."""

    name: str
    summary: str
    options: tuple[Option, ...]
    run: Callable[..., int | None]

    def __call__(self, words: Sequence[str]) -> int:
        return self.run(**self.parse(words)) or 0

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """Words → arguments of `run`; raises ConfigError, with what was probably meant."""
        parser = self.fill(Parser(prog=f"erc {self.name}", allow_abbrev=False))
        # options may stand between the inputs; behind `--` nothing is an option
        read = parser.parse_known_args if "--" in words else parser.parse_known_intermixed_args
        found, left = read(words)
        unknown = next((word.partition("=")[0] for word in left if word.startswith("-")), None)
        if unknown:
            known = [name for option in self.options for name in option.names.split()]
            near = did_you_mean(unknown, [name for name in known if name.startswith("--")])
            parser.error(f"there is no option {unknown}{near}")
        if left:
            parser.error(f"unexpected {' '.join(left)}")
        return vars(found)

    def fill(self, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """The parser, with summary and options."""
        parser.description = self.summary
        for option in self.options:
            option.add_to(parser)
        return parser


class Parser(argparse.ArgumentParser):
    """Raises what it has to say."""

    def error(self, message: str) -> NoReturn:
        """One line; raises ConfigError, which ends with exit code 2."""
        raise ConfigError(f"{self.prog}: {message}; see {self.prog} --help")


def command(*options: Option) -> Callable[[Callable[..., int | None]], Command]:
    """Make a function a command: its name, the first line it says of itself, its options."""

    def made(run: Callable[..., int | None]) -> Command:
        name, summary = run.__name__.replace("_", "-"), (run.__doc__ or "").partition("\n")[0]
        return Command(name, summary, options, run)

    return made


def place(word: str) -> Any:
    """A folder or manifest, or one with options of its own, as config/dataset writes them.

    Raises:
        ValueError: neither.

    >>> place("data/nemo"), place("{paths: data/mine, emotion_map: {cross: angry}}")
    ('data/nemo', {'paths': 'data/mine', 'emotion_map': {'cross': 'angry'}})
    """
    if not word.startswith("{"):
        return word
    import yaml

    try:
        return dict(yaml.safe_load(word))
    except yaml.YAMLError:
        raise ValueError from None


MODEL = Option(
    "--model", "model folder, or a run's (default: $ERC_MODEL, `erc use`, else the newest in runs/)"
)
RUNTIME = Option("--runtime", "auto | torch-fp32 | onnx-int8 | …", default="auto")
COMMERCIAL = Option(
    "--commercial", "refuse a model whose licences forbid commercial use, or are unknown", flag=True
)
QUIET = Option("-q --quiet", "no progress, no summary", flag=True)
OVERRIDES = Option("overrides", "see config/train.yaml", count="*", metavar="KEY=VALUE")
