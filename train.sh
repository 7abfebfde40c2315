#!/bin/sh
# Train the default configuration. Arguments are those of train.py, e.g. sh train.sh dataset.validation_fold=3
set -eu
cd "$(dirname "$0")"
./setup.sh
if [ -n "${VIRTUAL_ENV:-}" ] || { [ -n "${CONDA_PREFIX:-}" ] && [ "${CONDA_DEFAULT_ENV:-base}" != base ]; }; then
    exec python train.py "$@"
fi
exec .venv/bin/python train.py "$@"
