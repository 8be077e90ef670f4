{{/* The variables that settings give, over what the chart's other values ask for. */}}
{{- define "prefect-observability.exporterSettings" -}}
{{- $settings := dict "LISTEN_ADDRESS" "0.0.0.0:9877" -}}
{{- if .Values.gateway.enabled }}{{ $_ := set $settings "TERMINAL_SPANS" true }}{{ end -}}
{{- /* merge would take a false for nothing. */ -}}
{{- range $name, $value := .Values.exporter.settings }}{{ $_ := set $settings $name $value }}{{ end -}}
{{- range $name, $value := $settings }}
- name: PREFECT_EXPORTER_{{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{/* The exporter's own secrets, as a YAML list: the variable of each, from where it is, and its file. */}}
{{- define "prefect-observability.exporterSecrets" -}}
{{- with .Values.exporter -}}
{{- $secrets := list -}}
{{- with .bearerToken.existingSecret }}{{ $secrets = append $secrets (dict "variable" "BEARER_TOKEN_FILE" "from" . "file" "bearer-token") }}{{ end -}}
{{- with .basicAuth.existingSecret }}{{ $secrets = append $secrets (dict "variable" "BASIC_AUTH_FILE" "from" . "file" "basic-auth") }}{{ end -}}
{{- with .reportRecipients.existingSecret }}{{ $secrets = append $secrets (dict "variable" "REPORT_SEND_TO_FILE" "from" . "file" "report-recipients") }}{{ end -}}
{{- with .tls.existingSecret -}}
{{- $secrets = append $secrets (dict "variable" "TLS_CERT_FILE" "from" (dict "name" . "key" "tls.crt") "file" "tls.crt") -}}
{{- $secrets = append $secrets (dict "variable" "TLS_KEY_FILE" "from" (dict "name" . "key" "tls.key") "file" "tls.key") -}}
{{- end -}}
{{- toYaml $secrets -}}
{{- end -}}
{{- end -}}

{{/* One volume of keys of several Secrets. Takes a list, of which each has from, with name and key, and file. */}}
{{- define "prefect-observability.projected" -}}
projected:
  defaultMode: 0440
  sources:
    {{- range . }}
    - secret:
        name: {{ .from.name | quote }}
        items: [{key: {{ .from.key | quote }}, path: {{ .file }}}]
    {{- end }}
{{- end -}}

{{/* The probes, by HTTPS where the exporter answers so. */}}
{{- define "prefect-observability.exporterProbes" -}}
{{- $values := deepCopy .Values.exporter -}}
{{- if $values.tls.existingSecret -}}
{{- range $probe := list "startupProbe" "livenessProbe" "readinessProbe" -}}
{{- with index $values $probe }}{{ with .httpGet }}{{ $_ := set . "scheme" "HTTPS" }}{{ end }}{{ end -}}
{{- end -}}
{{- end -}}
{{- include "prefect-observability.probes" $values -}}
{{- end -}}
