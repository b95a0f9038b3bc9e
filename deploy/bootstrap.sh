#!/usr/bin/env bash
# Makes .venv/ from requirements.lock and installs the checkout into it (editable). Safe to run again.
#
# Takes PYTHON, or the first Python 3.11 or newer it finds. Every package is checked against its locked hash; where
# it comes from is the business of the user's own pip configuration.
set -euo pipefail
cd "$(dirname "$0")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0

say() { echo "throughline: $*" >&2; }

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python3.12 python3.13; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "no Python 3.11 or newer found. On Debian: apt-get install python3.11, or name one: make setup PYTHON=/path/to/python"
    exit 1
}

# A virtual environment that was moved or copied still points at the folder it came from.
usable() { .venv/bin/python -c '' 2>/dev/null && grep -qF "$PWD/.venv/bin/" .venv/bin/pip 2>/dev/null; }

# Debian keeps ensurepip in a package of its own; pip's wheel alone is enough, and needs no root to unpack.
pip_wheel() {
    local wheels=(/usr/share/python-wheels/pip-*.whl)
    if [[ ! -e ${wheels[0]} ]]; then
        deploy/debs.sh .tools/pip python3-pip-whl || {
            say "this Python cannot make virtual environments. On Debian: apt-get install python3-venv"
            exit 1
        }
        wheels=(.tools/pip/usr/share/python-wheels/pip-*.whl)
    fi
    echo "${wheels[0]}"
}

make_venv() {
    local python=$1 wheel
    rm -rf .venv
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv .venv
    else
        wheel=$(pip_wheel)
        "$python" -m venv --without-pip .venv
        .venv/bin/python "$wheel/pip" install --quiet --no-index "$wheel"
    fi
}

if ! usable; then
    python=$(find_python)
    say "making .venv with $("$python" --version)"
    make_venv "$python"
fi
say "installing $(grep -c '^[a-z]' requirements.lock) locked packages"
.venv/bin/pip install --quiet --require-hashes --no-deps --only-binary :all: --requirement requirements.lock
.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
