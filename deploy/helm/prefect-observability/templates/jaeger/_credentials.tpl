{{/* Where the files of Secrets and of certificate authorities are in a pod. */}}
{{- define "prefect-observability.jaegerCredentials" -}}
/etc/prefect-observability/jaeger
{{- end -}}

{{/*
Files of Secrets and ConfigMaps for a connection, as JSON: the kind of source, its name, its key, and the file.
Takes name, which begins the files' names; tls.
*/}}
{{- define "prefect-observability.jaegerTlsFiles" -}}
{{- $files := list -}}
{{- with dig "ca" "existingSecret" dict .tls }}{{ $files = append $files (list "secret" .name .key (printf "%s-ca.crt" $.name)) }}{{ end -}}
{{- with dig "ca" "existingConfigMap" dict .tls }}{{ $files = append $files (list "configMap" .name .key (printf "%s-ca.crt" $.name)) }}{{ end -}}
{{- with dig "clientCertificate" "existingSecret" "" .tls -}}
{{- range $key := list "tls.crt" "tls.key" }}{{ $files = append $files (list "secret" $.tls.clientCertificate.existingSecret $key (printf "%s-%s" $.name $key)) }}{{ end -}}
{{- end -}}
{{- $files | toJson -}}
{{- end -}}

{{/* The files of a part's connections, as JSON. Takes root, role. */}}
{{- define "prefect-observability.jaegerSecretFiles" -}}
{{- $jaeger := .root.Values.jaeger -}}
{{- $peers := include "prefect-observability.jaegerPeers" . | fromJsonArray -}}
{{- $files := list -}}
{{- if has "store" $peers -}}
{{- $files = include "prefect-observability.jaegerTlsFiles" (dict "name" "store" "tls" (dig $jaeger.storage.type "tls" dict $jaeger.storage)) | fromJsonArray -}}
{{- if eq $jaeger.storage.type "opensearch" -}}
{{- with dig "password" "existingSecret" dict $jaeger.storage.opensearch }}{{ $files = append $files (list "secret" .name .key "opensearch-password") }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and (has "kafka" $peers) $jaeger.kafka.tls.enabled -}}
{{- $files = concat $files (include "prefect-observability.jaegerTlsFiles" (dict "name" "kafka" "tls" $jaeger.kafka.tls) | fromJsonArray) -}}
{{- end -}}
{{- $files | toJson -}}
{{- end -}}

{{/* The volume of such files. Takes the list. */}}
{{- define "prefect-observability.jaegerSecretVolume" -}}
- name: credentials
  projected:
    defaultMode: 0440
    sources:
      {{- range . }}
      - {{ index . 0 }}:
          name: {{ index . 1 | quote }}
          items: [{key: {{ index . 2 | quote }}, path: {{ index . 3 }}}]
      {{- end }}
{{- end -}}

{{/* Variables that say where a connection's certificates are. Takes prefix, name, tls. */}}
{{- define "prefect-observability.jaegerTlsEnv" -}}
{{- $folder := include "prefect-observability.jaegerCredentials" . -}}
{{- if .tls.ca }}
- {name: {{ .prefix }}_CA_FILE, value: {{ $folder }}/{{ .name }}-ca.crt}
{{- end }}
{{- if .tls.clientCertificate }}
- {name: {{ .prefix }}_CERT_FILE, value: {{ $folder }}/{{ .name }}-tls.crt}
- {name: {{ .prefix }}_KEY_FILE, value: {{ $folder }}/{{ .name }}-tls.key}
{{- end }}
{{- end -}}

{{/* A variable of a Secret's key. Takes name, from. */}}
{{- define "prefect-observability.jaegerSecretEnv" -}}
{{- with dig "existingSecret" dict (default dict .from) }}
- name: {{ $.name }}
  valueFrom: {secretKeyRef: {name: {{ .name | quote }}, key: {{ .key | quote }}}}
{{- end }}
{{- end -}}
