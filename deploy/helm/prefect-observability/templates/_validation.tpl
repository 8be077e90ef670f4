{{/* What would not work together, in one line each; what concerns one component alone stands beside it. */}}
{{- define "prefect-observability.validateDependencies" -}}
{{- range $name := list "kube-prometheus-stack" "loki" "prefect-server" "prefect-worker" -}}
{{- if and (index $.Values $name).enabled (not (hasKey $.Subcharts $name)) -}}
{{- fail (printf "%s.enabled is true, but this chart was packed without its dependencies: pack it with them (make chart), or install %s as a release of its own" $name $name) -}}
{{- end -}}
{{- end -}}
{{- include "prefect-observability.validateNames" . -}}
{{- include "prefect-observability.validateLabels" . -}}
{{- include "prefect-observability.validateAlertmanagerSecret" . -}}
{{- include "prefect-observability.validateServerPassword" . -}}
{{- end -}}

{{/* Services, which have the beginning of all names, are names in DNS. */}}
{{- define "prefect-observability.validateNames" -}}
{{- $fullname := include "prefect-observability.fullname" . -}}
{{- if not (regexMatch "^[a-z]" $fullname) -}}
{{- fail (printf "all names would begin with %q, and those of Services have to begin with a letter: give the release another name, or set fullnameOverride" $fullname) -}}
{{- end -}}
{{- end -}}

{{/* The chart's own labels stay its own: by them Services, policies and monitors find pods. */}}
{{- define "prefect-observability.validateLabels" -}}
{{- $given := dict "commonLabels" .Values.commonLabels -}}
{{- range $section := list "exporter" "gateway" "agent" "podLogs" "blackbox" "jaeger" "backup" "tests" -}}
{{- $_ := set $given (printf "%s.podLabels" $section) (index $.Values $section).podLabels -}}
{{- end -}}
{{- range $part := list "collector" "query" "ingester" "allInOne" -}}
{{- $_ := set $given (printf "jaeger.%s.podLabels" $part) (get (index $.Values.jaeger $part) "podLabels" | default dict) -}}
{{- end -}}
{{- range $path, $labels := $given -}}
{{- range $label, $_ := $labels -}}
{{- if regexMatch "^(app\\.kubernetes\\.io/(name|instance|component|version|part-of|managed-by)|helm\\.sh/chart)$" $label -}}
{{- fail (printf "%s: the label %s is the chart's own, and finds its pods: leave it out" $path $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
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
{{- if and $server.enabled $server.server.basicAuth.enabled (include "prefect-observability.ownTargets" .) -}}
{{- range include "prefect-observability.targets" . | fromYamlArray -}}
{{- if and (hasPrefix "prefect-server" (urlParse .url).host) (not (dig "credentials" "authString" "" .)) -}}
{{- fail (printf "targets: %q is the prefect-server of this chart, which asks for a password: add credentials.authString.existingSecret {name: %s, key: auth-string}" .name $server.server.basicAuth.existingSecret) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
