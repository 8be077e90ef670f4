#!/bin/sh
# Start a process worker, the command in the arguments, and end it together with the runs in its container.
#
# On SIGTERM Prefect's worker ends within a second and leaves its runs to be killed with the container: they would
# stay Running for ever, and send no span. So SIGTERM goes to them too, and this waits until they have ended.
# It has to be the container's first process: only then does -1 mean the processes of this container alone.
set -eu

main() {
    [ $$ = 1 ] || { echo "worker.sh: is not the first process of a container" >&2; exit 2; }
    trap 'trap "" TERM; kill -TERM -1' TERM
    "$@" &
    code=0
    wait $! || code=$?
    while kill -0 -1 2>/dev/null; do sleep 0.2; done
    exit "$code"
}

main "$@"
