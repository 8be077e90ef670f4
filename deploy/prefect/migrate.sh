#!/bin/sh
# Bring the database to the schema of this Prefect, as its owner. What the replicas must not do, all of them at once.
set -eu
prefect server database upgrade -y
exec python "${0%/*}/register_blocks.py"
