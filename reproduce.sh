#!/bin/sh
# The paper's table: three fusions, three targets, five folds, both protocols. Asks nothing; started
# again, it goes on where it was stopped. KEMDy under ./data, or a simulated corpus if it is not there.
#
#   sh reproduce.sh            # sh reproduce.sh --fast: the simulated corpus, minutes on two cores
#   sh reproduce.sh --help     # all options
set -eu
cd "$(dirname "$0")"
./setup.sh
if [ -n "${VIRTUAL_ENV:-}" ] || { [ -n "${CONDA_PREFIX:-}" ] && [ "${CONDA_DEFAULT_ENV:-base}" != base ]; }; then
    exec python -m erc reproduce "$@"
fi
exec .venv/bin/python -m erc reproduce "$@"
