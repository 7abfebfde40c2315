"""Tab completion of the `erc` command, as a script for the shell to read."""

from __future__ import annotations

from argparse import ArgumentParser

from erc.base.errors import ConfigError

SHELLS = ("bash", "zsh", "fish")
HOW = {
    "bash": 'eval "$(erc completion bash)"            # a line for ~/.bashrc',
    "zsh": 'eval "$(erc completion zsh)"             # a line for ~/.zshrc, after compinit',
    "fish": "erc completion fish | source            # a line for ~/.config/fish/config.fish",
}


def script(parser: ArgumentParser, shell: str) -> str:
    """The script that completes the commands, options and choices of `parser`.

    Raises:
        ConfigError: the package that writes it is not installed.
    """
    try:
        import shtab
    except ImportError:
        raise ConfigError("completion needs the package shtab: pip install shtab") from None
    return f"# {HOW[shell]}\n{shtab.complete(parser, shell=shell)}"
