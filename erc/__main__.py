"""The door of the `erc` command: `python -m erc`; behind it is `erc.cli`."""

import sys

from erc.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
