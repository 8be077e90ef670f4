{{/* What would not work together, in one line each; what concerns one component alone stands beside it. */}}
{{- define "prefect-observability.validateDependencies" -}}
{{- range $name := list "kube-prometheus-stack" "loki" "prefect-server" "prefect-worker" -}}
{{- if and (index $.Values $name).enabled (not (hasKey $.Subcharts $name)) -}}
{{- fail (printf "%s.enabled is true, but this chart was packed without its dependencies: pack it with them (make chart), or install %s as a release of its own" $name $name) -}}
{{- end -}}
{{- end -}}
{{- include "prefect-observability.validateAlertmanagerSecret" . -}}
{{- include "prefect-observability.validateServerPassword" . -}}
{{- end -}}

{{/* The subchart does not fill in templates, so the name of the Secret is written down, and may be wrong. */}}
{{- define "prefect-observability.validateAlertmanagerSecret" -}}
{{- $stack := index .Values "kube-prometheus-stack" -}}
{{- $spec := $stack.alertmanager.alertmanagerSpec -}}
{{- $made := include "prefect-observability.componentName" (dict "root" . "component" "alertmanager") -}}
{{- if and $stack.enabled $spec.useExistingSecret (dig "enabled" true $stack.alertmanager) -}}
{{- if and (eq .Values.alertmanager.as "secret") (ne $spec.configSecret $made) -}}
{{- fail (printf "kube-prometheus-stack.alertmanager.alertmanagerSpec.configSecret is %s, and the configuration is in %s: set it to that name" $spec.configSecret $made) -}}
{{- else if and (ne .Values.alertmanager.as "secret") (eq $spec.configSecret "prefect-observability-alertmanager") -}}
{{- fail (printf "alertmanager.as is %s, and kube-prometheus-stack waits for the Secret %s: set alertmanager.as to secret, or kube-prometheus-stack.alertmanager.alertmanagerSpec.useExistingSecret to false" .Values.alertmanager.as $spec.configSecret) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "prefect-observability.validateServerPassword" -}}
{{- $server := index .Values "prefect-server" -}}
{{- if and $server.enabled $server.server.basicAuth.enabled -}}
{{- range include "prefect-observability.targets" . | fromYamlArray -}}
{{- if and (hasPrefix "prefect-server" (urlParse .url).host) (not (dig "credentials" "authString" "" .)) -}}
{{- fail (printf "targets: %q is the prefect-server of this chart, which asks for a password: add credentials.authString.existingSecret {name: %s, key: auth-string}" .name $server.server.basicAuth.existingSecret) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
