{{/* What nobody should ask of the exporter. */}}
{{- define "prefect-observability.validateExporter" -}}
{{- range $key := list "replicas" "replicaCount" "autoscaling" -}}
{{- if hasKey $.Values.exporter $key -}}
{{- fail (printf "exporter.%s is not to be had: two exporters on one target would each count its runs. Give several targets to several pods with exporter.shards" $key) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.exporter.ingress.enabled (not .Values.exporter.ingress.host) -}}
{{- fail "exporter.ingress.host is empty: name the host that the status page is to have" -}}
{{- end -}}
{{- if .Values.exporter.persistence.existingClaim -}}
{{- fail "exporter.persistence.existingClaim is not to be had: each shard has a volume of its own. Name the claim state-<pod> before the first install, and it is taken" -}}
{{- end -}}
{{- if and .Values.existingTargets.configMap .Values.existingTargets.secret -}}
{{- fail "existingTargets has both configMap and secret: leave one of them out" -}}
{{- end -}}
{{- end -}}
