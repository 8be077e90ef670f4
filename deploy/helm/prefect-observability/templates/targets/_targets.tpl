{{/* The targets, each with its name, as a YAML list. */}}
{{- define "prefect-observability.targets" -}}
{{- $targets := list -}}
{{- $seen := dict -}}
{{- range .Values.targets -}}
{{- $target := merge (dict) . (dict "name" "default") -}}
{{- if hasKey $seen $target.name -}}
{{- fail (printf "targets: two have the name %q (one without a name is \"default\"): give each a name of its own" $target.name) -}}
{{- end -}}
{{- $_ := set $seen $target.name true -}}
{{- if contains "@" $target.url -}}
{{- fail (printf "targets: the url of %q holds credentials, and would be in a ConfigMap: give them as its credentials.authString" $target.name) -}}
{{- end -}}
{{- if and $target.budget (not (hasKey $.Values.budgets $target.budget)) -}}
{{- fail (printf "targets: %q shares the budget %q, which budgets does not have: add it there" $target.name $target.budget) -}}
{{- end -}}
{{- if and $target.budget $target.requestsPerMinute -}}
{{- fail (printf "targets: %q has both budget and requestsPerMinute: leave one of them out" $target.name) -}}
{{- end -}}
{{- $targets = append $targets $target -}}
{{- end -}}
{{- toYaml $targets -}}
{{- end -}}

{{/* Where the targets file is in a pod; nothing where there is none. */}}
{{- define "prefect-observability.targetsFile" -}}
{{- if or .Values.targets .Values.existingTargets.configMap .Values.existingTargets.secret -}}
/etc/prefect-observability/targets/targets.yaml
{{- end -}}
{{- end -}}

{{/* Whether the targets file is made of the values. */}}
{{- define "prefect-observability.ownTargets" -}}
{{- if and .Values.targets (not (or .Values.existingTargets.configMap .Values.existingTargets.secret)) }}true{{ end -}}
{{- end -}}

{{- define "prefect-observability.credentialsFolder" -}}
/etc/prefect-observability/credentials
{{- end -}}

{{/*
The name of the Secret that a target's credentials are put into. Takes root, name. What Kubernetes does not take as
a name gets a digest, so that two targets never share one.
*/}}
{{- define "prefect-observability.targetSecret" -}}
{{- $slug := .name | lower | replace "_" "-" | replace "." "-" | trimSuffix "-" -}}
{{- if ne $slug .name }}{{ $slug = printf "%s-%s" $slug (.name | sha256sum | trunc 8) }}{{ end -}}
{{- printf "%s-target-%s" (include "prefect-observability.fullname" .root) $slug -}}
{{- end -}}

{{/* The file of each credential, by its name in the values. */}}
{{- define "prefect-observability.credentialFiles" -}}
{apiKey: api-key, authString: auth-string, headers: headers.json, ca: ca.crt}
{{- end -}}

{{/*
The targets file. No credential is in it: it says where they are mounted. The pages of the only target are those
that links leads to, unless it has others.
*/}}
{{- define "prefect-observability.targetsText" -}}
{{- $files := include "prefect-observability.credentialFiles" . | fromYaml -}}
{{- $folder := include "prefect-observability.credentialsFolder" . -}}
{{- $targets := list -}}
{{- range $target := include "prefect-observability.targets" . | fromYamlArray -}}
{{- $entry := dict -}}
{{- if and $.Values.links.prefect (eq 1 (len $.Values.targets)) }}{{ $_ := set $entry "ui_url" $.Values.links.prefect }}{{ end -}}
{{- range $key, $value := omit $target "credentials" "collectors" -}}
{{- if ne "" (toString $value) }}{{ $_ := set $entry (snakecase $key) $value }}{{ end -}}
{{- end -}}
{{- range $credential, $source := $target.credentials -}}
{{- $_ := set $entry (printf "%s_file" (snakecase $credential)) (printf "%s/%s/%s" $folder $target.name (index $files $credential)) -}}
{{- end -}}
{{- with $target.collectors -}}
{{- $collectors := dict -}}
{{- range $name, $interval := . -}}
{{- if eq "true" (toString $interval) -}}
{{- fail (printf "targets: the collector %q of %q is true: give an interval, or off" $name $target.name) -}}
{{- end -}}
{{- /* YAML reads off as false. */ -}}
{{- $_ := set $collectors $name (default "off" $interval) -}}
{{- end -}}
{{- $_ := set $entry "collectors" $collectors -}}
{{- end -}}
{{- $targets = append $targets $entry -}}
{{- end -}}
{{- with .Values.budgets }}
budgets:
  {{- toYaml . | nindent 2 }}
{{- end }}
targets:
  {{- toYaml $targets | nindent 2 }}
{{- end -}}

{{/* The volumes with the targets file and the credentials. Takes the root. */}}
{{- define "prefect-observability.targetVolumes" -}}
{{- if include "prefect-observability.targetsFile" . }}
- name: targets
  {{- with .Values.existingTargets }}
  {{- if .secret }}
  secret:
    secretName: {{ .secret | quote }}
    items: [{key: {{ .key | quote }}, path: targets.yaml}]
  {{- else }}
  configMap:
    name: {{ default (printf "%s-targets" (include "prefect-observability.fullname" $)) .configMap | quote }}
    items: [{key: {{ ternary .key "targets.yaml" (ne (default "" .configMap) "") | quote }}, path: targets.yaml}]
  {{- end }}
  {{- end }}
{{- end }}
{{- with include "prefect-observability.credentialSources" . }}
- name: credentials
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "prefect-observability.credentialSources" -}}
{{- if include "prefect-observability.ownTargets" . -}}
{{- $files := include "prefect-observability.credentialFiles" . | fromYaml -}}
{{- range $target := include "prefect-observability.targets" . | fromYamlArray -}}
{{- range $credential, $source := $target.credentials -}}
{{- $file := index $files $credential -}}
{{- $from := dict "name" (include "prefect-observability.targetSecret" (dict "root" $ "name" $target.name)) "key" $file -}}
{{- $from = $source.existingSecret | default $source.existingConfigMap | default $from }}
- {{ ternary "configMap" "secret" (hasKey $source "existingConfigMap") }}:
    name: {{ $from.name | quote }}
    items: [{key: {{ $from.key | quote }}, path: {{ printf "%s/%s" $target.name $file | quote }}}]
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The mounts of these volumes. Takes the root. */}}
{{- define "prefect-observability.targetMounts" -}}
{{- with include "prefect-observability.targetsFile" . }}
- name: targets
  mountPath: {{ dir . }}
  readOnly: true
{{- end }}
{{- if include "prefect-observability.credentialSources" . }}
- name: credentials
  mountPath: {{ include "prefect-observability.credentialsFolder" . }}
  readOnly: true
{{- end }}
{{- end -}}
