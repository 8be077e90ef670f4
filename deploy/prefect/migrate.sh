#!/bin/sh
# Bring the database to the schema of this Prefect, as its owner. What the replicas must not do, all of them at once.
set -eu
prefect server database upgrade -y
python "${0%/*}/tables.py"
python "${0%/*}/growth.py"
exec python "${0%/*}/register_blocks.py"
