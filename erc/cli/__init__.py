"""The commands of `erc`: one file a family, its options beside its body.

Enters: words of a command line. Leaves: rows on standard output or in a file, messages on standard
error, an exit code. May import: everything, the heavy rooms only inside a command.
"""
