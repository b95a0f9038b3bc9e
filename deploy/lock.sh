#!/usr/bin/env bash
# Writes requirements.lock from pyproject.toml: the newest versions that fit, with the hash of every published file,
# for every Linux platform and Python from 3.11 on, and without the address of any index.
set -euo pipefail
cd "$(dirname "$0")/.."

tool=.tools/lock
[[ -x $tool/bin/uv ]] || {
    "${PYTHON:-python3}" -m venv "$tool"
    "$tool/bin/pip" install --quiet "uv>=0.13"
}
"$tool/bin/uv" pip compile --quiet --upgrade --group dev --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" \
    --output-file requirements.lock pyproject.toml
