{{/* What works and is hardly meant, as lines of NOTES. */}}
{{- define "prefect-observability.warnings" -}}
{{- if .Values.exporter.enabled }}
{{- if not (include "prefect-observability.targetsFile" .) }}
WARNING: targets is empty: no Prefect is looked at. Add `targets: [{url: http://prefect-server:4200/api}]` to your values.
{{- end }}
{{- if not .Values.exporter.persistence.enabled }}
WARNING: exporter.persistence is off: counters begin anew whenever a pod is replaced, and what ended meanwhile is not counted.
{{- end }}
{{- end }}
{{- if and .Values.backup.enabled (hasPrefix "/" .Values.backup.repository) }}
WARNING: backup.repository is a path on a volume of this cluster, and is lost with it: name a store elsewhere.
{{- end }}
{{- if include "prefect-observability.ownTargets" . }}
{{- range .Values.targets }}
{{- $name := default "default" .name }}
{{- range $credential, $source := omit (default dict .credentials) "ca" }}
{{- if hasKey $source "value" }}
WARNING: {{ $credential }} of target {{ $name }} stands in the values, and so in Helm's own record of each release: use existingSecret.
{{- end }}
{{- end }}
{{- if .tlsInsecureSkipVerify }}
WARNING: target {{ $name }} takes any certificate: whoever stands between reads its credentials. Give credentials.ca.
{{- end }}
{{- end }}
{{- if and .Values.exporter.enabled (gt (int .Values.exporter.shards) (len .Values.targets)) }}
WARNING: {{ .Values.exporter.shards }} shards for {{ len .Values.targets }} target(s): a target is read by one of them, the others have nothing to do.
{{- end }}
{{- end }}
{{- end -}}
