#!/usr/bin/env bash
# `make test-313`: test the worker, the HTTP layer and the domain on Python 3.13, in their own environment.
# Uses PYTHON313=/path/to/python3.13 if set, else python3.13 on PATH, else pyenv's; prints SKIPPED without one.
set -euo pipefail
cd "$(dirname "$0")/.."

runs_313() {
  [ -n "$1" ] && "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null
}

find_313() {
  local version candidate
  for candidate in "${PYTHON313:-}" "$(command -v python3.13 || true)"; do
    if runs_313 "$candidate"; then echo "$candidate" && return; fi
  done
  version=$(pyenv versions --bare 2>/dev/null | grep -E '^3\.13\.[0-9]+$' | tail -1 || true)
  candidate=${version:+$(PYENV_VERSION=$version pyenv which python 2>/dev/null || true)}
  if runs_313 "$candidate"; then echo "$candidate"; fi
}

python=$(find_313)
if [ -z "$python" ]; then
  echo "SKIPPED: there is no Python 3.13 (python3.13, pyenv, PYTHON313=/path); only $("$BIN/python" -V) was tested"
  exit 0
fi
if ! runs_313 .venv313/bin/python || ! cmp -s uv.lock .venv313/installed.lock; then
  rm -rf .venv313
  "$BIN/uv" venv -q --no-python-downloads -p "$python" .venv313
  UV_PROJECT_ENVIRONMENT=.venv313 "$BIN/uv" sync -q --locked --compile-bytecode --no-default-groups --group test
  cp uv.lock .venv313/installed.lock
fi
echo "On $(.venv313/bin/python -V), $("$BIN/uv" pip list -q --python .venv313/bin/python | grep -E '^azure-functions(-runtime)? ' | tr -s ' \n' ' ')"
exec .venv313/bin/pytest tests/processes tests/http tests/domain tests/adapters tests/telemetry
