#!/bin/sh
# Start a process worker, the command in the arguments, and end it after the runs in its container.
#
# On SIGTERM Prefect's worker ends within a second and kills its runs: they would stay Running for ever, and send no
# span. So SIGTERM goes to the runs first, and to the worker once they have ended.
set -eu

main() {
    ended=
    trap 'ended=1' TERM
    # Prefect's worker turns SIGTERM into SIGINT, which a shell has those in its background ignore.
    env --default-signal=INT "$@" &
    worker=$!
    code=0
    wait $worker || code=$?
    [ -z "$ended" ] || end
    exit "$code"
}

end() {
    told=
    while runs=$(cat /proc/$worker/task/*/children 2>/dev/null) && [ -n "$runs" ]; do
        for run in $runs; do
            # Once each: a second one would break off what a run still has to say.
            case " $told " in *" $run "*) continue ;; esac
            told="$told $run"
            kill -TERM "$run" 2>/dev/null || true
        done
        sleep 0.2
    done
    kill -TERM $worker 2>/dev/null || true
    wait $worker || code=$?
}

main "$@"
