#!/bin/sh
# The paper's table, without questions; see `python -m erc reproduce --help`. Arguments are passed on.
# KEMDy under ./data is used if it is there, a simulated corpus otherwise (or with --fast).
set -e
cd "$(dirname "$0")"
./setup.sh
. ./.env.sh 2>/dev/null || true
