#!/usr/bin/env bash
# As the real image, which can also install packages as it starts.
set -e
if [ -n "${EXTRA_PIP_PACKAGES:-}" ]; then
    # shellcheck disable=SC2086 # several, apart by spaces
    uv pip install $EXTRA_PIP_PACKAGES
fi
[ $# -gt 0 ] || set -- bash --login
exec "$@"
