"""The `erc` command: words → one call, one exit code.

Enters: the words of a command line. Leaves: rows, tables and files; messages on stderr.
May import: every room, the heavy ones only inside the function of a command.

`program` knows all commands, `command` what a command is; the others are named after what they do,
each option beside the function that takes it.
"""
