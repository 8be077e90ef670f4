{{/* The files of /etc/jaeger: those of the Compose stack as they are, but for the pages' links. */}}
{{- define "prefect-observability.jaegerConfig" -}}
{{- range $path, $_ := .Files.Glob "files/jaeger/*.yaml" }}
{{ base $path }}: |
  {{- $.Files.Get $path | nindent 2 }}
{{- end }}
{{- with .Values.jaeger.config }}
own.yaml: |
  {{- toYaml . | nindent 2 }}
{{- end }}
ui.json: |
  {{- include "prefect-observability.jaegerUi" . | nindent 2 }}
{{- end -}}

{{/* ui.json with links to where Prefect is, and no tab for which there is no Prometheus. */}}
{{- define "prefect-observability.jaegerUi" -}}
{{- $ui := .Files.Get "files/jaeger/ui.json" | replace "http://127.0.0.1:4200" (trimSuffix "/" .Values.links.prefect) | fromJson -}}
{{- if not .Values.links.prefect }}{{ $_ := unset $ui "linkPatterns" }}{{ end -}}
{{- $_ := set $ui.monitor "menuEnabled" (ne .Values.jaeger.query.prometheusUrl "") -}}
{{- mergeOverwrite $ui (deepCopy .Values.jaeger.query.ui) | toPrettyJson -}}
{{- end -}}
