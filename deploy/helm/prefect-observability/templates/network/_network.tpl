{{/* A NetworkPolicy of a component's pods, up to its rules. Takes root, component. */}}
{{- define "prefect-observability.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "prefect-observability.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "prefect-observability.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end -}}

{{/*
Who may connect: peers, for `from`. Takes root; who, which are keys of networkPolicy, of which an empty one lets every
pod of the cluster in; components of this release.
*/}}
{{- define "prefect-observability.peers" -}}
{{- $peers := list -}}
{{- $everybody := false -}}
{{- range .who -}}
{{- $asked := index $.root.Values.networkPolicy . -}}
{{- if not $asked }}{{ $everybody = true }}{{ end -}}
{{- $peers = concat $peers (default list $asked) -}}
{{- end -}}
{{- if $everybody -}}
- namespaceSelector: {}
{{- else -}}
{{- range .components -}}
{{- $peers = append $peers (dict "podSelector" (dict "matchLabels" (include "prefect-observability.selectorLabels" (dict "root" $.root "component" .) | fromYaml))) -}}
{{- end -}}
{{- toYaml $peers -}}
{{- end -}}
{{- end -}}

{{/* A rule that lets a pod reach these TCP ports of any address; none for none. Takes a list. */}}
{{- define "prefect-observability.anywhere" -}}
{{- $ports := list -}}
{{- range . }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- with $ports -}}
- ports:
    {{- range uniq . }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end -}}
{{- end -}}

{{/* Names may be asked for: of Kubernetes' own servers, and of OpenShift's, which listen at 5353. */}}
{{- define "prefect-observability.names" -}}
- ports:
    {{- range $port := list 53 5353 }}
    - {protocol: UDP, port: {{ $port }}}
    - {protocol: TCP, port: {{ $port }}}
    {{- end }}
{{- end -}}

{{/* Rules that let the exporter reach Prefect. */}}
{{- define "prefect-observability.toPrefect" -}}
{{- if or .Values.existingTargets.configMap .Values.existingTargets.secret -}}
# The addresses are in existingTargets, which only the exporter reads.
- ports:
    - {protocol: TCP, port: 1, endPort: 65535}
{{- else -}}
{{- include "prefect-observability.anywhere" (include "prefect-observability.prefectPorts" . | fromJsonArray) -}}
{{- end -}}
{{- end -}}

{{/*
The ports at which Prefect answers, as a JSON list: those of the targets' addresses, and the usual ones, as a Service
may answer at another port than its pods, which is what counts.
*/}}
{{- define "prefect-observability.prefectPorts" -}}
{{- $ports := list 80 443 4200 -}}
{{- range include "prefect-observability.targets" . | fromYamlArray -}}
{{- $ports = concat $ports (include "prefect-observability.portOf" (urlParse .url).host | fromJsonArray) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* The port of a host:port, as a JSON list; an empty one where it names none. */}}
{{- define "prefect-observability.portOf" -}}
{{- with regexFind ":[0-9]+$" . }}{{ list (trimPrefix ":" . | int) | toJson }}{{ else }}[]{{ end -}}
{{- end -}}
