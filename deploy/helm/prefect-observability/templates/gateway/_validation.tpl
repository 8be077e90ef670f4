{{/* What would not do what it seems to. */}}
{{- define "prefect-observability.validateCollectors" -}}
{{- range $key := list "autoscaling" "replicaCount" -}}
{{- if hasKey $.Values.gateway $key -}}
{{- fail (printf "gateway.%s is not to be had: each change of their number sends traces to another gateway midway. Set gateway.replicas, and change it in a quiet hour" $key) -}}
{{- end -}}
{{- end -}}
{{- if and (gt (int .Values.gateway.replicas) 1) (not .Values.agent.enabled) -}}
{{- fail (printf "gateway.replicas is %d without agent.enabled: spans of one trace would go to several gateways, and failed traces would be kept in part. Set agent.enabled to true and let flows send to the agent, or gateway.replicas to 1" (int .Values.gateway.replicas)) -}}
{{- end -}}
{{- range $key := list "agent" "podLogs" -}}
{{- if and (index $.Values $key).enabled (not $.Values.gateway.enabled) -}}
{{- fail (printf "%s.enabled is true without gateway.enabled: it sends to the gateway. Set gateway.enabled to true as well" $key) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.agent.enabled .Values.agent.kubernetesAttributes.enabled (not .Values.agent.serviceAccount.create) (not .Values.agent.serviceAccount.name) -}}
{{- fail "agent.serviceAccount has neither create nor a name: kubernetesAttributes would let every pod of the namespace read pods. Name an account, or set agent.serviceAccount.create to true" -}}
{{- end -}}
{{- if .Values.gateway.persistence.existingClaim -}}
{{- fail "gateway.persistence.existingClaim is not to be had: each gateway has a volume of its own. Name the claim storage-<pod> before the first install, and it is taken" -}}
{{- end -}}
{{- if and .Values.gateway.traces.tls.existingSecret (not .Values.gateway.traces.tls.enabled) -}}
{{- fail "gateway.traces.tls.existingSecret is set without gateway.traces.tls.enabled: traces would go without TLS. Set gateway.traces.tls.enabled to true, or leave the Secret out" -}}
{{- end -}}
{{- if and .Values.gateway.traces.tls.enabled (not .Values.gateway.traces.endpoint) -}}
{{- fail "gateway.traces.tls.enabled is true without gateway.traces.endpoint: Jaeger of this chart takes traces without TLS. Set gateway.traces.endpoint, or gateway.traces.tls.enabled to false" -}}
{{- end -}}
{{- range $key, $least := dict "gateway" 512 "agent" 192 "podLogs" 192 -}}
{{- with dig "limits" "memory" "" (index $.Values $key).resources -}}
{{- if lt (include "prefect-observability.mebibytes" . | int) $least -}}
{{- fail (printf "%s.resources.limits.memory is %v: it would take nothing. Set at least %dMi" $key . $least) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
