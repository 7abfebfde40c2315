#!/bin/sh
# Installs erc with training and everything else; `pip install .` alone brings what answers. Safe to run again: it does nothing when nothing changed.
#
#   ./setup.sh            # into .venv, or into the virtual or conda environment that is active
#   EXTRAS=train,dev ./setup.sh
#   PYTHON=python3.12 ./setup.sh
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu ./setup.sh   # choose the torch build
set -eu
cd "$(dirname "$0")"
extras=${EXTRAS:-train,dev,report,sweep,loggers,web,timeline,formats,export,docs}

active=no  # conda's base environment is not one to install into
if [ -n "${VIRTUAL_ENV:-}" ] || { [ -n "${CONDA_PREFIX:-}" ] && [ "${CONDA_DEFAULT_ENV:-base}" != base ]; }; then
    active=yes
fi
[ $active = yes ] && python=${PYTHON:-python} || python=${PYTHON:-python3}
"$python" -c 'import sys
if sys.version_info < (3, 11):
    sys.exit("erc needs Python 3.11 or newer; this is %d.%d, and Python 3.10 ended in October 2026. "
             "Install a newer one and run: PYTHON=python3.12 ./setup.sh" % sys.version_info[:2])'

if [ $active = no ]; then
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    python=.venv/bin/python
fi

# The stamp names what was asked for; the same request needs no second install.
prefix=$("$python" -c 'import sys; print(sys.prefix)')
wanted=$(cat setup.sh pyproject.toml requirements.lock | cksum; echo "$extras $PWD")
[ "$(cat "$prefix/.erc-installed" 2>/dev/null || true)" = "$wanted" ] && exit 0

pip() { "$python" -m pip --disable-pip-version-check "$@"; }
echo "installing erc[$extras] into $prefix (a few minutes the first time) ..."
# torch first: asked for by name alone, pip would fetch gigabytes of CUDA on a machine without a GPU.
pip install -q torch==2.13.0 ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}
pip install -q -c requirements.lock -e ".[$extras]"
echo "$wanted" > "$prefix/.erc-installed"
echo "done. Next: make demo"
