"""What `argparse` lacks: commands in groups, and a suggestion for every typo."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from erc.base.errors import ConfigError, did_you_mean

GROUPS = {  # in the order of a workday; what is in none of them comes last
    "start": ("demo", "synth", "completion"),
    "data": ("check", "prepare", "agreement", "audit"),
    "train and measure": (
        "train", "cross-validate", "evaluate", "report", "embed", "sharpen", "reproduce",
    ),
    "use a model": ("predict", "timeline", "info", "serve", "web"),
    "carry it elsewhere": ("tune", "export", "import-reference"),
}  # fmt: skip

EXAMPLES = """\
examples:
  erc demo                                      train on a simulated corpus, in minutes
  erc check /data/KEMDy19                       what is wrong with a corpus, before training
  erc predict 'takes/**/*.wav' -o takes.csv     goes on where it was stopped
  eval "$(erc completion bash)"                 complete commands and options with Tab"""


class Parser(argparse.ArgumentParser):
    """Errors are one line, and name what was probably meant."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs | {"allow_abbrev": False})

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.unknown(unknown, found)
        return found

    def unknown(self, words: list[str], found: argparse.Namespace) -> None:
        """Refuse words that no option or argument took."""
        parser = getattr(found, "parser", self)
        option = next((word.partition("=")[0] for word in words if word.startswith("-")), None)
        if option is None:
            return parser.error(f"unexpected {' '.join(words)}")
        known = [s for action in parser._actions for s in action.option_strings]
        near = did_you_mean(option, [s for s in known if s.startswith("--")])
        parser.error(f"there is no option {option}{near}")

    def error(self, message: str) -> NoReturn:
        """One line; raises ConfigError, which ends with exit code 2."""
        raise ConfigError(f"{self.prog}: {message}; see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            what = f"{'/'.join(action.option_strings) or action.metavar or action.dest} "
            choices = list(map(str, action.choices))
            self.error(
                f"{what}'{value}' is not one of {', '.join(choices)}"
                f"{did_you_mean(str(value), choices)}"
            )


class TopParser(Parser):
    """The `erc` command itself: its help shows the commands in groups."""

    def format_help(self) -> str:
        actions = self._subparsers._group_actions[0]._choices_actions  # type: ignore[union-attr]
        summary = {action.dest: (action.help or "").rstrip(".") for action in actions}
        grouped = {name for names in GROUPS.values() for name in names}
        groups = GROUPS | {"more": tuple(name for name in summary if name not in grouped)}
        lines = [f"usage: {self.prog} COMMAND …", "", self.description or ""]
        for title, names in groups.items():
            lines += _block(title, [(n, summary[n]) for n in names if n in summary])
        lines += ["", f"{self.prog} COMMAND --help says more; {self.prog} --version", "", EXAMPLES]
        return "\n".join(lines) + "\n"


def _block(title: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    body = [f"  {name:<18}{summary}" for name, summary in rows]
    return ["", f"{title}:", *body] if body else []
