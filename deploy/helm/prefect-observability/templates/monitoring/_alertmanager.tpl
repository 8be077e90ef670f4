{{/* A shipped file of Alertmanager's, or what a user made of teams of their own, with the user's Secret and paths. Takes root, file. */}}
{{- define "prefect-observability.alertmanagerFile" -}}
{{- $values := .root.Values.alertmanager -}}
{{- $text := default (.root.Files.Get (printf "files/alertmanager/%s" .file)) $values.config -}}
{{- $text = replace "/etc/alertmanager/secrets/prefect-alerts/" (printf "%s/" (trimSuffix "/" (default (printf "/etc/alertmanager/secrets/%s" $values.existingSecret) $values.secretsPath))) $text -}}
{{- replace "/etc/alertmanager/config/" (printf "%s/" (trimSuffix "/" (default "/etc/alertmanager/config" $values.templatesPath))) $text -}}
{{- end -}}

{{/* The templates of messages, by file name. */}}
{{- define "prefect-observability.messages" -}}
{{- range $path, $_ := .Files.Glob "files/alertmanager/templates/*.tmpl" }}
{{ base $path }}: |
  {{- $.Files.Get $path | nindent 2 }}
{{- end }}
{{- end -}}
