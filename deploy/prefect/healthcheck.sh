#!/bin/sh
# Say whether a program of Prefect's is well, and end it when it has hung for long, since Docker starts anew what has
# ended and leaves alone what is unhealthy:
#
#     healthcheck.sh MOST CHECK...
#
# CHECK ends with 0 (well), 1 (it does not answer) or more (it cannot serve, which a new start would not mend). After MOST
# checks in a row that ended with 1, or did not end in time, the program is killed; never before it was well once.
set -eu

readonly well=/tmp/was-well
readonly hung=/tmp/was-hung

main() {
    most=$1
    shift
    # Counted first: Docker kills a check that takes too long.
    echo >>"$hung"
    code=0
    "$@" || code=$?
    if [ "$code" != 1 ] || [ ! -e "$well" ]; then rm -f "$hung"; fi
    [ "$code" != 0 ] || : >"$well"
    if [ -e "$hung" ] && [ "$(wc -l <"$hung")" -ge "$most" ]; then end; fi
    exit "$code"
}

# What the container's first process, docker-init, has started.
end() {
    echo "healthcheck.sh: no answer $most times in a row: it is started anew" >/proc/1/fd/2 || true
    rm -f "$hung" "$well"
    # shellcheck disable=SC2046  # one word each
    kill -9 $(cat /proc/1/task/1/children)
}

main "$@"
