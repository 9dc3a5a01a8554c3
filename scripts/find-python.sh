#!/bin/sh
# Print the first of the interpreters named that really runs, is Python >= 3.11 and can make virtual environments.
# A name on PATH proves nothing: a version manager's shim may stand for a version that is not there, and some systems
# ship Python without venv.
usable='import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))'
for python in "$@"; do
  if "$python" -c "$usable" </dev/null >/dev/null 2>&1; then
    printf '%s\n' "$python"
    exit 0
  fi
done
printf 'no usable Python found (tried: %s): orch needs Python 3.11 or later with the venv module;\n' "$*" >&2
printf 'name one, for example: make demo PYTHON=/path/to/python3.12\n' >&2
exit 1
