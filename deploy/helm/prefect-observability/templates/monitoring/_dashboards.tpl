{{/* The uids of the boards that are on, as a list. */}}
{{- define "prefect-observability.boards" -}}
{{- $shipped := list -}}
{{- range $path, $_ := .Files.Glob "files/grafana/*.json" }}{{ $shipped = append $shipped (base $path | trimSuffix ".json") }}{{ end -}}
{{- $boards := list -}}
{{- range $shipped }}{{ if not (get $.Values.dashboards.disabled .) }}{{ $boards = append $boards . }}{{ end }}{{ end -}}
{{- range $uid, $_ := .Values.dashboards.disabled -}}
{{- if not (has $uid $shipped) }}{{ fail (printf "dashboards.disabled: %s is none of the boards: write one of %s" $uid (join ", " $shipped)) }}{{ end -}}
{{- end -}}
{{- toYaml $boards -}}
{{- end -}}

{{/*
A board: JSON as it is, but for the uids of data sources. What stands in braces there is Grafana's. Which Prometheus is the reader's
choice, and begins with ours. Takes root, uid.
*/}}
{{- define "prefect-observability.board" -}}
{{- $json := .root.Files.Get (printf "files/grafana/%s.json" .uid) -}}
{{- $uids := .root.Values.dashboards.datasources -}}
{{- $json = regexReplaceAll `("uid": ?)"loki"` $json (printf `${1}"%s"` $uids.loki) -}}
{{- $json = regexReplaceAll `("uid": ?)"jaeger"` $json (printf `${1}"%s"` $uids.jaeger) -}}
{{- regexReplaceAll `("value": ?)"prometheus"` $json (printf `${1}"%s"` $uids.prometheus) -}}
{{- end -}}

{{/* The metadata of a board. Takes root, uid, labels, annotations. */}}
{{- define "prefect-observability.boardMetadata" -}}
{{- $name := printf "%s-%s" (include "prefect-observability.fullname" .root) (trimPrefix "prefect-" .uid | printf "board-%s") -}}
{{- $metadata := include "prefect-observability.metadata" (merge (dict "component" "dashboards" "name" $name) .) | fromYaml -}}
{{- with .root.Values.dashboards.namespace }}{{ $_ := set $metadata "namespace" . }}{{ end -}}
{{- toYaml $metadata -}}
{{- end -}}

{{/*
The Compose stack's data sources, with the addresses that are known here. None is the default: two would keep Grafana from starting.
*/}}
{{- define "prefect-observability.datasources" -}}
{{- $given := .Values.dashboards.provision -}}
{{- $jaeger := ternary (printf "http://%s-jaeger-query.%s.svc:16686" (include "prefect-observability.fullname" .) (include "prefect-observability.namespace" .)) "" .Values.jaeger.enabled -}}
{{- $urls := dict "prometheus" $given.prometheusUrl "loki" $given.lokiUrl "jaeger" (default $jaeger $given.jaegerUrl) "alertmanager" $given.alertmanagerUrl -}}
{{- $text := .Files.Get "files/grafana/datasources/stack.yml" -}}
{{- range $ours, $uid := .Values.dashboards.datasources -}}
{{- $text = regexReplaceAll (printf "(?i)(uid): %s\\b" $ours) $text (printf "${1}: %s" $uid) -}}
{{- end -}}
{{- $made := list -}}
{{- range (fromYaml $text).datasources -}}
{{- if get $urls .type -}}
{{- $fields := list -}}
{{- range .jsonData.derivedFields -}}
{{- if or $.Values.links.prefect (not (hasPrefix "$PREFECT_UI_URL" .url)) -}}
{{- $fields = append $fields (set . "url" (replace "$PREFECT_UI_URL" (trimSuffix "/" $.Values.links.prefect) .url)) -}}
{{- end -}}
{{- end -}}
{{- if $fields }}{{ $_ := set .jsonData "derivedFields" $fields }}{{ end -}}
{{- $_ := set . "url" (get $urls .type) -}}
{{- $_ := set . "isDefault" false -}}
{{- $made = append $made . -}}
{{- end -}}
{{- end -}}
{{- if not $made }}{{ fail "dashboards.provision.enabled: there is no address: give prometheusUrl, lokiUrl, jaegerUrl or alertmanagerUrl" }}{{ end -}}
{{- toYaml (dict "apiVersion" 1 "datasources" $made) -}}
{{- end -}}
