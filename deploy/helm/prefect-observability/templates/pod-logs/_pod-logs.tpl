{{/* The files to read: those of this release's pods, and of all pods of the namespaces; then those not to read. */}}
{{- define "prefect-observability.podLogsEnv" -}}
{{- $pods := list (printf "%s_%s-*" (include "prefect-observability.namespace" .) (include "prefect-observability.fullname" .)) -}}
{{- range .Values.podLogs.namespaces }}{{ $pods = append $pods (printf "%s_*" .) }}{{ end -}}
{{- $include := list -}}
{{- range $pods -}}
{{- /* The second are those that the kubelet has put aside, and not yet packed. */}}
{{- $include = concat $include (list (printf "/var/log/pods/%s_*/*/*.log" .) (printf "/var/log/pods/%s_*/*/*.log.*[0-9]" .)) -}}
{{- end -}}
{{- /* Its own complaints about what it cannot send would be more to send. */}}
{{- $exclude := list "/var/log/pods/*/container-logs/*" -}}
{{- range .Values.podLogs.exclude }}{{ $exclude = append $exclude (printf "/var/log/pods/%s_*/*/*" .) }}{{ end -}}
- {name: POD_LOGS, value: {{ toJson $include | quote }}}
- {name: POD_LOGS_EXCLUDE, value: {{ toJson $exclude | quote }}}
- {name: COLLECTOR_ENDPOINT, value: "{{ include "prefect-observability.otlpHost" . }}:4317"}
{{- end -}}
