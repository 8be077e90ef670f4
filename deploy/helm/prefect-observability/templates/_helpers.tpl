{{/* The beginning of all names; 40 characters leave room for a component and what Kubernetes adds. */}}
{{- define "prefect-observability.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- /* A release may have dots in its name, a Service may not. */}}
{{- $release := replace "." "-" .Release.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name $release -}}
{{- $release | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $release $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "prefect-observability.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* The name of a component's objects. Takes root, component. */}}
{{- define "prefect-observability.componentName" -}}
{{- printf "%s-%s" (include "prefect-observability.fullname" .root) .component -}}
{{- end -}}

{{/* What never changes between versions: a StatefulSet's selector is immutable. Takes root, component. */}}
{{- define "prefect-observability.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Takes root, component. */}}
{{- define "prefect-observability.labels" -}}
{{ include "prefect-observability.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: prefect-observability
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
The metadata of every object. Takes root, component; name, where it is not the component's; labels and
annotations to add, as maps.
*/}}
{{- define "prefect-observability.metadata" -}}
name: {{ default (include "prefect-observability.componentName" .) .name | quote }}
namespace: {{ include "prefect-observability.namespace" .root | quote }}
labels:
  {{- include "prefect-observability.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The metadata of a workload's pods. Takes root, component, values; annotations to add, such as checksums. */}}
{{- define "prefect-observability.podMetadata" -}}
labels:
  {{- include "prefect-observability.labels" . | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $scraped := include "prefect-observability.scrapeAnnotations" . | fromYaml }}
{{- with merge (dict) (default (dict) .annotations) (default (dict) .values.podAnnotations) $scraped .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* An image's reference. Takes root, image. A digest wins over a tag, and the chart's appVersion stands for an empty one. */}}
{{- define "prefect-observability.image" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry -}}
{{- $repository := ternary (printf "%s/%s" $registry .image.repository) .image.repository (ne (default "" $registry) "") -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Takes root, component, values. */}}
{{- define "prefect-observability.serviceAccountName" -}}
{{- if .values.serviceAccount.create -}}
{{- default (include "prefect-observability.componentName" .) .values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/*
What the pods of all workloads share. Takes root, component, values; token, where the pod asks Kubernetes' API.
A null in podSecurityContext leaves that key out, as OpenShift wants it of runAsUser and fsGroup.
*/}}
{{- define "prefect-observability.podSpec" -}}
serviceAccountName: {{ include "prefect-observability.serviceAccountName" . | quote }}
automountServiceAccountToken: {{ default false .token }}
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name | quote }}{{ else }}{{ . | quote }}{{ end }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "prefect-observability.withoutNull" .values.podSecurityContext | nindent 2 }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .values.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . | int64 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- toYaml (merge (dict) . (dict "labelSelector" (dict "matchLabels" (include "prefect-observability.selectorLabels" $ | fromYaml)))) | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A map without the keys that are null. */}}
{{- define "prefect-observability.withoutNull" -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $kept $key $value }}{{ end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end -}}

{{/* The probes that are set. Takes the values. */}}
{{- define "prefect-observability.probes" -}}
{{- range $probe := list "startupProbe" "livenessProbe" "readinessProbe" }}
{{- with index $ $probe }}
{{ $probe }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A ServiceAccount, where it is to be made. Takes root, component, values. */}}
{{- define "prefect-observability.serviceAccount" -}}
{{- if .values.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "prefect-observability.metadata" (merge (dict "name" (include "prefect-observability.serviceAccountName" .) "annotations" .values.serviceAccount.annotations) .) | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}
{{- end -}}

{{/* A PodDisruptionBudget, where it is on. Takes root, component, values. */}}
{{- define "prefect-observability.podDisruptionBudget" -}}
{{- if .values.podDisruptionBudget.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "prefect-observability.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ .values.podDisruptionBudget.maxUnavailable }}
  # A pod that is not ready serves nobody: it must not keep a node from being drained.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "prefect-observability.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{/* The class of a volume: its own, that of all volumes, or none, which is the cluster's default. Takes root, persistence. */}}
{{- define "prefect-observability.storageClass" -}}
{{- with default .root.Values.global.storageClass .persistence.storageClass -}}
storageClassName: {{ . | quote }}
{{- end -}}
{{- end -}}
