{{/* What the three collectors share: gateway, agent and pod-logs. */}}

{{/* The names of a collector's files of configuration, which are merged in this order. Takes files, values; backends, where there are any. */}}
{{- define "prefect-observability.collectorFiles" -}}
{{- $files := .files -}}
{{- if .backends }}{{ $files = append $files "backends.yaml" }}{{ end -}}
{{- if .values.config }}{{ $files = append $files "extra.yaml" }}{{ end -}}
{{- toJson $files -}}
{{- end -}}

{{/* The data of its ConfigMap: the files of the Compose stack as they are, then what values say. Takes root, files, values, backends. */}}
{{- define "prefect-observability.collectorData" -}}
{{- range .files }}
{{ . }}: |
  {{- $.root.Files.Get (printf "files/otel-collector/%s" .) | nindent 2 }}
{{- end }}
{{- with .backends }}
backends.yaml: |
  {{- . | nindent 2 }}
{{- end }}
{{- with .values.config }}
extra.yaml: |
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The container. Takes root, name, values, files, backends; env and ports as lists; gate, the feature that it needs; mounts as text. */}}
{{- define "prefect-observability.collectorContainer" -}}
name: {{ .name }}
image: {{ include "prefect-observability.image" (dict "root" .root "image" .values.image) }}
imagePullPolicy: {{ .values.image.pullPolicy }}
args:
  {{- range include "prefect-observability.collectorFiles" . | fromJsonArray }}
  - --config=/etc/otelcol/{{ . }}
  {{- end }}
  {{- with .gate }}
  - --feature-gates={{ . }}
  {{- end }}
  {{- with .values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  {{- range .ports }}
  - {name: {{ .name }}, containerPort: {{ .port }}}
  {{- end }}
  - {name: metrics, containerPort: 8888}
  - {name: health, containerPort: 13133}
env:
  {{- $env := concat .env (include "prefect-observability.collectorEnv" .values | fromYamlArray) }}
  {{- include "prefect-observability.env" (dict "env" $env "extra" .values.extraEnv) | nindent 2 }}
{{- with .values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "prefect-observability.withoutNull" .values.securityContext | nindent 2 }}
resources:
  {{- toYaml .values.resources | nindent 2 }}
{{- include "prefect-observability.probes" .values }}
volumeMounts:
  - {name: config, mountPath: /etc/otelcol, readOnly: true}
  {{- with .mounts }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Variables that all three have, as a list. Takes the values. */}}
{{- define "prefect-observability.collectorEnv" -}}
- {name: HEALTH_ADDRESS, value: ":13133"}
- {name: TELEMETRY_HOST, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
{{- with dig "limits" "memory" "" .resources }}
{{- $limit := include "prefect-observability.mebibytes" . | int }}
- {name: MEMORY_LIMIT_MIB, value: {{ div (mul $limit 4) 5 | quote }}}
- {name: GOMEMLIMIT, value: {{ div (mul $limit 16) 25 }}MiB}
{{- end }}
{{- end -}}

{{/* Variables, each once: one of the user's replaces the chart's of the same name. Takes env, extra. */}}
{{- define "prefect-observability.env" -}}
{{- $kept := list -}}
{{- $names := list -}}
{{- range .extra }}{{ $names = append $names .name }}{{ end -}}
{{- range .env }}{{ if not (has .name $names) }}{{ $kept = append $kept . }}{{ end }}{{ end -}}
{{- toYaml (concat $kept .extra) -}}
{{- end -}}

{{/* A quantity of memory in whole MiB. */}}
{{- define "prefect-observability.mebibytes" -}}
{{- $text := toString . -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- $bytes := get (dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776) $unit -}}
{{- divf (mulf (trimSuffix $unit $text | float64) $bytes) 1048576 | floor | int -}}
{{- end -}}
