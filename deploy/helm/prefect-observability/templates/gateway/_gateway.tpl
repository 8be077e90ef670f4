{{/* The Service that flows send to, as host without a port: the agent's, where there is one. */}}
{{- define "prefect-observability.otlpHost" -}}
{{- $component := ternary "agent" "gateway" .Values.agent.enabled -}}
{{- include "prefect-observability.componentName" (dict "root" $ "component" $component) }}.{{ include "prefect-observability.namespace" $ }}.svc
{{- end -}}

{{/* The gateways by names that stay, for agents: a list of texts. The headless Service gives each pod one. */}}
{{- define "prefect-observability.gatewayAddresses" -}}
{{- $name := include "prefect-observability.componentName" (dict "root" $ "component" "gateway") -}}
{{- $addresses := list -}}
{{- range $number := until (int .Values.gateway.replicas) -}}
{{- $addresses = append $addresses (printf "%s-%d.%s-headless:4317" $name $number $name) -}}
{{- end -}}
{{- toJson $addresses -}}
{{- end -}}

{{/* Where kept traces go; empty for nowhere. */}}
{{- define "prefect-observability.tracesEndpoint" -}}
{{- if .Values.gateway.traces.endpoint -}}
{{- .Values.gateway.traces.endpoint -}}
{{- else if .Values.jaeger.enabled -}}
{{- include "prefect-observability.componentName" (dict "root" $ "component" "jaeger-collector") }}:4317
{{- end -}}
{{- end -}}

{{/* Where logs go; empty for nowhere. */}}
{{- define "prefect-observability.logsEndpoint" -}}
{{- if .Values.gateway.logs.endpoint -}}
{{- .Values.gateway.logs.endpoint -}}
{{- else if .Values.loki.enabled -}}
{{- include "prefect-observability.lokiUrl" $ }}/otlp
{{- end -}}
{{- end -}}

{{/* What values change of the collector's exporters, as configuration; empty where that is nothing. */}}
{{- define "prefect-observability.gatewayBackends" -}}
{{- $exporters := dict -}}
{{- $pipelines := dict -}}
{{- $traces := include "prefect-observability.backend" (dict "name" "traces" "values" .Values.gateway.traces) | fromYaml -}}
{{- if .Values.gateway.traces.tls.enabled }}{{ $_ := set $traces "tls" (merge (dict "insecure" false) (default (dict) $traces.tls)) }}{{ end -}}
{{- if $traces }}{{ $_ := set $exporters "otlp_grpc/jaeger" $traces }}{{ end -}}
{{- with include "prefect-observability.backend" (dict "name" "logs" "values" .Values.gateway.logs) | fromYaml }}{{ $_ := set $exporters "otlp_http/loki" . }}{{ end -}}
{{- if not (include "prefect-observability.tracesEndpoint" .) }}{{ $_ := set $pipelines "traces/kept" (dict "processors" list "exporters" (list "nop")) }}{{ end -}}
{{- if not (include "prefect-observability.logsEndpoint" .) }}{{ $_ := set $pipelines "logs" (dict "processors" list "exporters" (list "nop")) }}{{ end -}}
{{- if $pipelines }}{{ $_ := set $exporters "nop" (dict) }}{{ end -}}
{{- if $exporters -}}
{{- toYaml (dict "exporters" $exporters "service" (dict "pipelines" $pipelines)) -}}
{{- end -}}
{{- end -}}

{{/* TLS and headers of one exporter. Takes name, values. */}}
{{- define "prefect-observability.backend" -}}
{{- with .values.tls.existingSecret }}
tls:
  ca_file: /etc/otelcol-tls/{{ $.name }}/ca.crt
  {{- if $.values.tls.clientCertificate }}
  cert_file: /etc/otelcol-tls/{{ $.name }}/tls.crt
  key_file: /etc/otelcol-tls/{{ $.name }}/tls.key
  {{- end }}
{{- end }}
{{- with .values.headers }}
headers:
  {{- range $header, $from := . }}
  {{ $header | quote }}: ${env:{{ include "prefect-observability.headerVariable" (dict "name" $.name "header" $header) }}}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The variable that a header comes from. Takes name, header. */}}
{{- define "prefect-observability.headerVariable" -}}
{{- regexReplaceAll "[^A-Z0-9]" (printf "%s_HEADER_%s" .name .header | upper) "_" -}}
{{- end -}}

{{/* The variables of the gateway alone, as a list. */}}
{{- define "prefect-observability.gatewayEnv" -}}
- {name: OTLP_GRPC_ADDRESS, value: ":4317"}
- {name: OTLP_HTTP_ADDRESS, value: ":4318"}
- {name: METRICS_ADDRESS, value: ":8889"}
{{- with include "prefect-observability.tracesEndpoint" . }}
- {name: JAEGER_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with include "prefect-observability.logsEndpoint" . }}
- {name: LOKI_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with .Values.gateway.sampling }}
- {name: TRACE_SHARE, value: {{ .share | quote }}}
- {name: SLOW_TRACE, value: {{ .slow | quote }}}
- {name: TRACE_WAIT, value: {{ .wait | quote }}}
- {name: TRACES_WAITING, value: {{ .tracesWaiting | int | quote }}}
- {name: RARE_BYTES, value: {{ .rareBytes | int | quote }}}
{{- end }}
{{- range $name := list "traces" "logs" }}
{{- range $header, $from := (index $.Values.gateway $name).headers }}
- name: {{ include "prefect-observability.headerVariable" (dict "name" $name "header" $header) }}
  valueFrom:
    secretKeyRef: {name: {{ $from.name | quote }}, key: {{ $from.key | quote }}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "prefect-observability.gatewayMounts" -}}
- {name: storage, mountPath: /var/lib/otelcol}
{{- range $name := list "traces" "logs" }}
{{- if (index $.Values.gateway $name).tls.existingSecret }}
- {name: {{ $name }}-tls, mountPath: /etc/otelcol-tls/{{ $name }}, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{/* The Service of the chart loki, as its own templates name it. */}}
{{- define "prefect-observability.lokiUrl" -}}
{{- $name := ternary .Release.Name (printf "%s-loki" .Release.Name) (contains "loki" .Release.Name) -}}
http://{{ default $name (get .Values.loki "fullnameOverride") | trunc 63 | trimSuffix "-" }}.{{ .Release.Namespace }}.svc:3100
{{- end -}}
