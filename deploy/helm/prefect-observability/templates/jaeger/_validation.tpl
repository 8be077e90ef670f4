{{/* What does not go together. */}}
{{- define "prefect-observability.validateJaeger" -}}
{{- $jaeger := .Values.jaeger -}}
{{- $storage := $jaeger.storage -}}
{{- if eq $storage.type "badger" -}}
{{- if $jaeger.kafka.enabled }}{{ fail "jaeger.kafka.enabled: Badger is written by one pod, which needs no Kafka before it. Set jaeger.storage.type to opensearch, cassandra or clickhouse, or leave Kafka off" }}{{ end -}}
{{- else if eq $storage.type "opensearch" -}}
{{- if not $storage.opensearch.url }}{{ fail "jaeger.storage.opensearch.url is empty: set the address of your OpenSearch, such as https://search.example.com:9200" }}{{ end -}}
{{- else if eq $storage.type "cassandra" -}}
{{- if not $storage.cassandra.servers }}{{ fail "jaeger.storage.cassandra.servers is empty: name nodes of your Cassandra, such as [cassandra.db]" }}{{ end -}}
{{- include "prefect-observability.validateJaegerCassandra" $storage.cassandra -}}
{{- else -}}
{{- if not $storage.clickhouse.addresses }}{{ fail "jaeger.storage.clickhouse.addresses is empty: name your ClickHouse, such as [clickhouse.db:9000]" }}{{ end -}}
{{- include "prefect-observability.validateJaegerClickhouse" . -}}
{{- end -}}
{{- if ne $storage.type "badger" }}{{ include "prefect-observability.validateJaegerLogin" (dict "path" (printf "jaeger.storage.%s" $storage.type) "login" (index $storage $storage.type)) }}{{ end -}}
{{- if $jaeger.kafka.enabled -}}
{{- if not $jaeger.kafka.brokers }}{{ fail "jaeger.kafka.brokers is empty: name addresses of your Kafka, such as [kafka-0.kafka.db:9092]" }}{{ end -}}
{{- include "prefect-observability.validateJaegerLogin" (dict "path" "jaeger.kafka.sasl" "login" $jaeger.kafka.sasl) -}}
{{- end -}}
{{- with $jaeger.collector.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}{{ fail (printf "jaeger.collector.autoscaling.minReplicas is %d, more than maxReplicas, which is %d" (int .minReplicas) (int .maxReplicas)) }}{{ end -}}
{{- end -}}
{{- if and $jaeger.query.ingress.enabled (not $jaeger.query.ingress.host) }}{{ fail "jaeger.query.ingress.host is empty: name the host that Jaeger's pages are to have" }}{{ end -}}
{{- end -}}

{{/* A user and a password come together. Takes path, login. */}}
{{- define "prefect-observability.validateJaegerLogin" -}}
{{- $password := dig "password" "existingSecret" dict .login -}}
{{- if and .login.username (not $password) (not (hasSuffix "clickhouse" .path)) }}{{ fail (printf "%s.username is set and %s.password is not: name a Secret, as in password: {existingSecret: {name: jaeger, key: password}}" .path .path) }}{{ end -}}
{{- if and $password (not .login.username) }}{{ fail (printf "%s.password is set and %s.username is not: set both, or none" .path .path) }}{{ end -}}
{{- end -}}

{{/* cqlsh, which makes the tables, has to be told an authority, and takes no certificate of its own by variables. */}}
{{- define "prefect-observability.validateJaegerCassandra" -}}
{{- if and .tls.enabled .schema.create -}}
{{- if .tls.clientCertificate }}{{ fail "jaeger.storage.cassandra.schema.create cannot show tls.clientCertificate: make the tables yourself and set it to false" }}{{ end -}}
{{- if not .tls.ca }}{{ fail "jaeger.storage.cassandra.schema.create needs jaeger.storage.cassandra.tls.ca: name who signed Cassandra's certificate, or make the tables yourself and set it to false" }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Jaeger 2.13 panics at a search in ClickHouse; its documentation calls it ready from 2.23 on. A tag that is no version is the user's to know. */}}
{{- define "prefect-observability.validateJaegerClickhouse" -}}
{{- $tag := .Values.jaeger.image.tag | toString -}}
{{- if and (not .Values.jaeger.image.digest) (regexMatch "^v?[0-9]+\\.[0-9]+\\.[0-9]+$" $tag) -}}
{{- if not (semverCompare ">=2.23.0" $tag) }}{{ fail (printf "jaeger.storage.type is clickhouse, and Jaeger %s cannot search there: set jaeger.image.tag to 2.23.0 or newer" $tag) }}{{ end -}}
{{- end -}}
{{- end -}}
