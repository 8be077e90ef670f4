{{/*
Fail where the cluster lacks an API. Only a cluster's list has apiregistration.k8s.io, and what Argo CD gives: what `helm template`
has of its own says nothing about any cluster. Takes root, api, setting, instead.
*/}}
{{- define "prefect-observability.requireApi" -}}
{{- $known := .root.Capabilities.APIVersions -}}
{{- if and ($known.Has "apiregistration.k8s.io/v1") (not ($known.Has .api)) -}}
{{- fail (printf "%s: the cluster does not know %s: install the operator that brings it, or set %s" .setting .api .instead) -}}
{{- end -}}
{{- end -}}

{{/* What is scraped, by component: its job, as in deploy/prometheus/prometheus.yml, and the port of its pods. */}}
{{- define "prefect-observability.scraped" -}}
agent: {job: otel-collector, port: 8888}
backup: {job: backup, port: 9878}
blackbox: {job: blackbox-exporter, port: 9115}
exporter: {job: prefect-exporter, port: 9877}
gateway: {job: otel-collector, port: 8888}
jaeger: {job: jaeger, port: 8888}
jaeger-collector: {job: jaeger, port: 8888}
jaeger-ingester: {job: jaeger, port: 8888}
jaeger-query: {job: jaeger, port: 8888}
pod-logs: {job: otel-collector, port: 8888}
{{- end -}}

{{/* The annotations by which a Prometheus without operator finds a pod; `job` is ours, for docs/kubernetes-alerts.md. Takes root, component. */}}
{{- define "prefect-observability.scrapeAnnotations" -}}
{{- if eq .root.Values.monitors.as "annotations" -}}
{{- with get (include "prefect-observability.scraped" . | fromYaml) .component -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .port | quote }}
prometheus.io/path: /metrics
prometheus.io/job: {{ .job }}
{{- if and (eq $.component "exporter") $.root.Values.exporter.tls.existingSecret }}
prometheus.io/scheme: https
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether there are objects of Prometheus Operator for scraping: "true" or nothing. */}}
{{- define "prefect-observability.monitored" -}}
{{- if eq .Values.monitors.as "serviceMonitor" -}}
{{- include "prefect-observability.requireApi" (dict "root" . "api" "monitoring.coreos.com/v1" "setting" "monitors.as: serviceMonitor" "instead" "monitors.as: annotations") -}}
true
{{- end -}}
{{- end -}}

{{/* The metadata of a monitor. Takes root, component. */}}
{{- define "prefect-observability.monitorMetadata" -}}
{{- include "prefect-observability.metadata" (merge (dict "labels" .root.Values.monitors.additionalLabels) .) -}}
{{- end -}}

{{/* Bounds of a target, of which 0 is none. Takes root, and own bounds that win. */}}
{{- define "prefect-observability.limits" -}}
{{- $limits := pick .root.Values.monitors "sampleLimit" "labelLimit" "labelNameLengthLimit" "labelValueLengthLimit" -}}
{{- range $name, $limit := .own }}{{ $_ := set $limits $name $limit }}{{ end -}}
{{- range $name, $limit := $limits }}
{{- if eq $name "bodySizeLimit" }}
{{ $name }}: {{ $limit | quote }}
{{- else if $limit }}
{{ $name }}: {{ int64 $limit }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
An endpoint. Takes root, job, port; name, of the keys in monitors.endpoints that win; own keys.
An instance is a pod by its name: a shard that starts anew under another address goes on with its series.
*/}}
{{- define "prefect-observability.endpoint" -}}
{{- $monitors := .root.Values.monitors -}}
{{- $job := dict "targetLabel" "job" "replacement" .job -}}
{{- $instance := dict "sourceLabels" (list "__meta_kubernetes_pod_name") "targetLabel" "instance" -}}
{{- $endpoint := dict "port" .port "interval" $monitors.interval "scrapeTimeout" $monitors.scrapeTimeout -}}
{{- range $key, $value := .own }}{{ $_ := set $endpoint $key $value }}{{ end -}}
{{- $_ := set $endpoint "relabelings" (concat (list $job $instance) (default (list) $endpoint.relabelings) $monitors.relabelings) -}}
{{- with concat (default (list) $endpoint.metricRelabelings) $monitors.metricRelabelings }}{{ $_ := set $endpoint "metricRelabelings" . }}{{ end -}}
{{- range $key, $value := default (dict) (get $monitors.endpoints .name) }}{{ $_ := set $endpoint $key $value }}{{ end -}}
{{- toYaml $endpoint -}}
{{- end -}}

{{/* A ServiceMonitor of one of our Services. Takes root, component, port. */}}
{{- define "prefect-observability.serviceMonitor" -}}
{{- $job := (get (include "prefect-observability.scraped" . | fromYaml) .component).job -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "prefect-observability.monitorMetadata" . | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "prefect-observability.selectorLabels" . | nindent 6 }}
  namespaceSelector:
    matchNames: [{{ include "prefect-observability.namespace" .root | quote }}]
  {{- include "prefect-observability.limits" (dict "root" .root) | indent 2 }}
  endpoints:
    - {{- include "prefect-observability.endpoint" (dict "root" .root "name" .component "job" $job "port" .port "own" .own) | nindent 6 }}
{{- end -}}

{{/* A PodMonitor of what Services spread over, or have none. Takes root, component, job, port; the components of the pods; limits, own. */}}
{{- define "prefect-observability.podMonitor" -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "prefect-observability.monitorMetadata" . | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- omit (include "prefect-observability.selectorLabels" . | fromYaml) "app.kubernetes.io/component" | toYaml | nindent 6 }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: [{{ join ", " .pods }}]}
  namespaceSelector:
    matchNames: [{{ include "prefect-observability.namespace" .root | quote }}]
  {{- include "prefect-observability.limits" (dict "root" .root "own" .limits) | indent 2 }}
  podMetricsEndpoints:
    - {{- include "prefect-observability.endpoint" (dict "root" .root "name" .component "job" .job "port" .port "own" .own) | nindent 6 }}
{{- end -}}

{{/* Where the Prefect APIs are asked from outside: addresses by target. Those of existingTargets are not known here. */}}
{{- define "prefect-observability.probed" -}}
{{- $probed := dict -}}
{{- if include "prefect-observability.ownTargets" . -}}
{{- range include "prefect-observability.targets" . | fromYamlArray -}}
{{- $url := trimSuffix "/" .url -}}
{{- $cloud := hasPrefix "https://api.prefect.cloud/" $url -}}
{{- $_ := set $probed .name (ternary "https://api.prefect.cloud/api/health" (printf "%s/health" $url) $cloud) -}}
{{- end -}}
{{- end -}}
{{- toYaml (merge (dict) .Values.blackbox.targets $probed) -}}
{{- end -}}

{{/* The blackbox exporter's host and port: ours, or the one that is there; empty for none. */}}
{{- define "prefect-observability.prober" -}}
{{- if .Values.blackbox.enabled -}}
{{- printf "%s.%s.svc:9115" (include "prefect-observability.componentName" (dict "root" . "component" "blackbox")) (include "prefect-observability.namespace" .) -}}
{{- else -}}
{{- .Values.blackbox.url -}}
{{- end -}}
{{- end -}}
