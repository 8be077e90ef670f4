{{/* A part's values: what all parts share, under its own. Takes root, role. */}}
{{- define "prefect-observability.jaegerValues" -}}
{{- $jaeger := deepCopy .root.Values.jaeger -}}
{{- $parts := list "enabled" "retention" "storage" "kafka" "config" "collector" "query" "ingester" "allInOne" -}}
{{- $values := dict -}}
{{- range $key, $value := $jaeger -}}
{{- if not (has $key $parts) }}{{ $_ := set $values $key $value }}{{ end -}}
{{- end -}}
{{- range $key, $value := index $jaeger .role }}{{ $_ := set $values $key $value }}{{ end -}}
{{- if $values.serviceAccount.create -}}
{{- $_ := set $values.serviceAccount "name" (include "prefect-observability.serviceAccountName" (dict "root" .root "component" "jaeger" "values" $values)) -}}
{{- end -}}
{{- toYaml $values -}}
{{- end -}}

{{/* What a part speaks with, as words in a list: store, kafka, prometheus. Takes root, role. */}}
{{- define "prefect-observability.jaegerPeers" -}}
{{- $kafka := .root.Values.jaeger.kafka.enabled -}}
{{- $collector := eq .role "collector" -}}
{{- $peers := list -}}
{{- if not (and $collector $kafka) }}{{ $peers = append $peers "store" }}{{ end -}}
{{- if and $kafka (or $collector (eq .role "ingester")) }}{{ $peers = append $peers "kafka" }}{{ end -}}
{{- if has .role (list "query" "allInOne") }}{{ $peers = append $peers "prometheus" }}{{ end -}}
{{- $peers | toJson -}}
{{- end -}}

{{/* Its files of configuration in their order, each over those before it. Takes root, role. */}}
{{- define "prefect-observability.jaegerFiles" -}}
{{- $jaeger := .root.Values.jaeger -}}
{{- $peers := include "prefect-observability.jaegerPeers" . | fromJsonArray -}}
{{- $files := list "jaeger" -}}
{{- if has "store" $peers }}{{ $files = append $files $jaeger.storage.type }}{{ end -}}
{{- if has "kafka" $peers -}}
{{- $files = append $files "kafka" -}}
{{- if $jaeger.kafka.sasl.username }}{{ $files = append $files "kafka-sasl" }}{{ end -}}
{{- if $jaeger.kafka.tls.enabled }}{{ $files = append $files "kafka-tls" }}{{ end -}}
{{- end -}}
{{- if ne .role "allInOne" }}{{ $files = append $files .role }}{{ end -}}
{{- if and (eq .role "collector") $jaeger.kafka.enabled }}{{ $files = append $files "collector-kafka" }}{{ end -}}
{{- if $jaeger.config }}{{ $files = append $files "own" }}{{ end -}}
{{- $files | toJson -}}
{{- end -}}

{{/* The container's limit of memory less a fifth, for Go; nothing where there is no such limit in Mi or Gi. Takes resources. */}}
{{- define "prefect-observability.jaegerMemory" -}}
{{- $limit := dig "limits" "memory" "" . | toString -}}
{{- if hasSuffix "Gi" $limit -}}
{{- printf "%dMiB" (mulf 819.2 (trimSuffix "Gi" $limit | float64) | int) -}}
{{- else if hasSuffix "Mi" $limit -}}
{{- printf "%dMiB" (mulf 0.8 (trimSuffix "Mi" $limit | float64) | int) -}}
{{- end -}}
{{- end -}}

{{/*
The TCP ports that a part connects to at addresses which are the user's, as a JSON list: those that the values name,
and the usual ones, as a Service may answer at another port than its pods. Takes root; role, or indexCleaner or schema.
*/}}
{{- define "prefect-observability.jaegerPorts" -}}
{{- $jaeger := .root.Values.jaeger -}}
{{- $peers := list "store" -}}
{{- if not (has .role (list "indexCleaner" "schema")) }}{{ $peers = include "prefect-observability.jaegerPeers" . | fromJsonArray }}{{ end -}}
{{- $ports := list -}}
{{- $addresses := list -}}
{{- if and (has "prometheus" $peers) $jaeger.query.prometheusUrl -}}
{{- $ports = append $ports 9090 -}}
{{- $addresses = append $addresses $jaeger.query.prometheusUrl -}}
{{- end -}}
{{- if has "kafka" $peers -}}
{{- $ports = append $ports 9092 -}}
{{- $addresses = concat $addresses $jaeger.kafka.brokers -}}
{{- end -}}
{{- if has "store" $peers -}}
{{- if eq $jaeger.storage.type "opensearch" -}}
{{- $ports = concat $ports (list 443 9200) -}}
{{- $addresses = append $addresses $jaeger.storage.opensearch.url -}}
{{- else if eq $jaeger.storage.type "cassandra" -}}
{{- $ports = append $ports (int $jaeger.storage.cassandra.port) -}}
{{- else if eq $jaeger.storage.type "clickhouse" -}}
{{- $addresses = concat $addresses $jaeger.storage.clickhouse.addresses -}}
{{- end -}}
{{- end -}}
{{- range $addresses -}}
{{- $rest := regexFind ":[0-9]+(/|$)" . | trimAll ":/" -}}
{{- if $rest }}{{ $ports = append $ports (int $rest) -}}
{{- else if hasPrefix "https:" . }}{{ $ports = append $ports 443 -}}
{{- else if hasPrefix "http:" . }}{{ $ports = append $ports 80 }}{{ end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
