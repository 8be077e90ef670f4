{{/* What DaemonSet and Deployment share: the pods of the agent. */}}
{{- define "prefect-observability.agentPod" -}}
{{- $values := .Values.agent -}}
{{- $config := include (print $.Template.BasePath "/agent/configmap.yaml") . -}}
{{- $agent := dict "root" $ "component" "agent" "values" $values "annotations" (dict "checksum/config" (sha256sum $config)) -}}
{{- if eq $values.kind "DaemonSet" }}{{ $_ := set $agent "values" (omit $values "topologySpreadConstraints") }}{{ end -}}
metadata:
  {{- include "prefect-observability.podMetadata" $agent | nindent 2 }}
spec:
  {{- include "prefect-observability.podSpec" (merge (dict "token" $values.kubernetesAttributes.enabled) $agent) | nindent 2 }}
  containers:
    {{- $container := dict "root" $ "name" "otel-agent" "values" $values "files" (include "prefect-observability.agentFiles" $ | fromJsonArray) -}}
    {{- $_ := set $container "env" (include "prefect-observability.agentEnv" $ | fromYamlArray) -}}
    {{- $_ := set $container "ports" (list (dict "name" "otlp-grpc" "port" 4317) (dict "name" "otlp-http" "port" 4318)) }}
    - {{- include "prefect-observability.collectorContainer" $container | nindent 6 }}
  volumes:
    - name: config
      configMap: {name: {{ include "prefect-observability.componentName" $agent }}}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "prefect-observability.agentFiles" -}}
{{- $files := list "agent.yaml" -}}
{{- if .Values.agent.kubernetesAttributes.enabled }}{{ $files = append $files "kubernetes.yaml" }}{{ end -}}
{{- toJson $files -}}
{{- end -}}

{{/* The variables of the agent alone, as a list. */}}
{{- define "prefect-observability.agentEnv" -}}
- {name: OTLP_GRPC_ADDRESS, value: ":4317"}
- {name: OTLP_HTTP_ADDRESS, value: ":4318"}
- {name: GATEWAYS, value: {{ include "prefect-observability.gatewayAddresses" . | quote }}}
- {name: QUEUE_BYTES, value: {{ .Values.agent.queueBytes | int | quote }}}
{{- if .Values.agent.kubernetesAttributes.enabled }}
{{- if eq .Values.agent.kind "DaemonSet" }}
# Of all pods, only those of its node are its business.
- {name: K8S_NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
{{- end }}
- {name: K8S_NAMESPACE, value: {{ .Values.agent.kubernetesAttributes.namespace | quote }}}
{{- end }}
{{- end -}}

{{/*
The metadata of its role and binding: in the namespace whose pods it asks for, or in none, then with the release's
namespace in the name, as another release may have the same name.
*/}}
{{- define "prefect-observability.agentRole" -}}
{{- $metadata := include "prefect-observability.metadata" (dict "root" $ "component" "agent") | fromYaml -}}
{{- with .Values.agent.kubernetesAttributes.namespace -}}
{{- $_ := set $metadata "namespace" . -}}
{{- else -}}
{{- $_ := set $metadata "name" (printf "%s-%s" (include "prefect-observability.namespace" $) $metadata.name) -}}
{{- $_ := unset $metadata "namespace" -}}
{{- end -}}
{{- toYaml $metadata -}}
{{- end -}}
