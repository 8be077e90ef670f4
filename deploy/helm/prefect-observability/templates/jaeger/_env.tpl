{{/* The variables that deploy/jaeger/*.yaml name. Takes root, role. */}}
{{- define "prefect-observability.jaegerEnv" -}}
{{- $jaeger := .root.Values.jaeger -}}
{{- $peers := include "prefect-observability.jaegerPeers" . | fromJsonArray }}
- {name: JAEGER_RETENTION, value: {{ $jaeger.retention }}}
{{- if has "prometheus" $peers }}
{{- with $jaeger.query.prometheusUrl }}
- {name: PROMETHEUS_URL, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- if and (has "store" $peers) (ne $jaeger.storage.type "badger") }}
{{- include (printf "prefect-observability.jaegerEnv.%s" $jaeger.storage.type) (index $jaeger.storage $jaeger.storage.type) }}
{{- end }}
{{- if has "kafka" $peers }}
{{- include "prefect-observability.jaegerEnv.kafka" $jaeger.kafka }}
{{- end }}
{{- end -}}

{{- define "prefect-observability.jaegerEnv.opensearch" }}
- {name: OPENSEARCH_URL, value: {{ .url | quote }}}
- {name: OPENSEARCH_USER, value: {{ .username | quote }}}
{{- if .username }}
- {name: OPENSEARCH_PASSWORD_FILE, value: {{ include "prefect-observability.jaegerCredentials" . }}/opensearch-password}
{{- end }}
{{- include "prefect-observability.jaegerTlsEnv" (dict "prefix" "OPENSEARCH" "name" "store" "tls" .tls) }}
{{- end -}}

{{- define "prefect-observability.jaegerEnv.cassandra" }}
{{- $servers := list }}
{{- /* Jaeger takes a short name for no address, unless a port follows it. */}}
{{- range .servers }}{{ $servers = append $servers (printf "%s:%d" . (int $.port)) }}{{ end }}
- {name: CASSANDRA_SERVERS, value: {{ $servers | toJson | quote }}}
- {name: CASSANDRA_PORT, value: {{ int .port | quote }}}
- {name: CASSANDRA_KEYSPACE, value: {{ .keyspace | quote }}}
- {name: CASSANDRA_DATACENTER, value: {{ .datacenter | quote }}}
{{- if .username }}
- {name: CASSANDRA_USER, value: {{ .username | quote }}}
{{- include "prefect-observability.jaegerSecretEnv" (dict "name" "CASSANDRA_PASSWORD" "from" .password) }}
{{- end }}
- {name: CASSANDRA_PLAINTEXT, value: {{ not .tls.enabled | quote }}}
{{- include "prefect-observability.jaegerTlsEnv" (dict "prefix" "CASSANDRA" "name" "store" "tls" .tls) }}
{{- end -}}

{{- define "prefect-observability.jaegerEnv.clickhouse" }}
- {name: CLICKHOUSE_ADDRESSES, value: {{ .addresses | toJson | quote }}}
- {name: CLICKHOUSE_DATABASE, value: {{ .database | quote }}}
- {name: CLICKHOUSE_USER, value: {{ .username | quote }}}
{{- include "prefect-observability.jaegerSecretEnv" (dict "name" "CLICKHOUSE_PASSWORD" "from" .password) }}
{{- end -}}

{{- define "prefect-observability.jaegerEnv.kafka" }}
- {name: KAFKA_BROKERS, value: {{ .brokers | toJson | quote }}}
- {name: KAFKA_TOPIC, value: {{ .topic | quote }}}
- {name: KAFKA_GROUP, value: {{ .group | quote }}}
- {name: KAFKA_MAX_MESSAGE_BYTES, value: {{ int64 .maxMessageBytes | quote }}}
{{- if .sasl.username }}
- {name: KAFKA_SASL_MECHANISM, value: {{ .sasl.mechanism }}}
- {name: KAFKA_USER, value: {{ .sasl.username | quote }}}
{{- include "prefect-observability.jaegerSecretEnv" (dict "name" "KAFKA_PASSWORD" "from" .sasl.password) }}
{{- end }}
{{- if .tls.enabled }}
{{- include "prefect-observability.jaegerTlsEnv" (dict "prefix" "KAFKA" "name" "kafka" "tls" .tls) }}
{{- end }}
{{- end -}}
