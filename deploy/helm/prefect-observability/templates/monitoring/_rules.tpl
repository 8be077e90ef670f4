{{/*
The groups of a folder of rules, as {groups: [...]}. Takes root, folder. They are those of the Compose stack, without what is
switched off; links lead where `links` says, as nobody else's Prometheus has the external labels that they use, and commands are
kubectl's. A file of recording rules that has the name of a folder goes with that folder.
*/}}
{{- define "prefect-observability.ruleGroups" -}}
{{- $rules := .root.Values.rules -}}
{{- $files := dict -}}
{{- range $path, $_ := .root.Files.Glob (printf "files/prometheus/rules/%s/*.yml" .folder) -}}
{{- $_ := set $files (base $path) ($.root.Files.Get $path) -}}
{{- end -}}
{{- range $path, $text := $rules.files -}}
{{- if eq (dir $path) $.folder }}{{ $_ := set $files (base $path) $text }}{{ end -}}
{{- end -}}
{{- $groups := list -}}
{{- range $file, $text := $files -}}
{{- $name := trimSuffix ".yml" $file -}}
{{- if not (or (get $rules.disabled $name) (eq (get $rules.groups $name | toString) "false")) -}}
{{- $read := fromYaml $text -}}
{{- if not (kindIs "slice" $read.groups) }}{{ fail (printf "rules.files: %s/%s is no file of rules with `groups:`: check it with promtool check rules" $.folder $file) }}{{ end -}}
{{- range $group := $read.groups -}}
{{- range $group.rules }}{{ include "prefect-observability.finishRule" (dict "root" $.root "rule" .) }}{{ end -}}
{{- $groups = append $groups $group -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $groups }}{{ toYaml (dict "groups" $groups) }}{{ end -}}
{{- end -}}

{{/* Give an alert its links, commands and labels, in place. Without an address there is no link. Takes root, rule. */}}
{{- define "prefect-observability.finishRule" -}}
{{- $rule := .rule -}}
{{- if $rule.alert -}}
{{- $links := dict "grafana_url" (trimSuffix "/" .root.Values.links.grafana) "runbook_url" (include "prefect-observability.runbooks" .root) -}}
{{- $commands := include "prefect-observability.commands" .root | fromYaml -}}
{{- range $name, $text := $rule.annotations -}}
{{- range $compose, $here := $commands }}{{ $text = replace $compose $here $text }}{{ end -}}
{{- $empty := false -}}
{{- range $label, $url := $links -}}
{{- $external := printf "{{ $externalLabels.%s }}" $label -}}
{{- if contains $external $text }}{{ $empty = not $url }}{{ end -}}
{{- $text = replace $external $url $text -}}
{{- end -}}
{{- if $empty }}{{ $_ := unset $rule.annotations $name }}{{ else }}{{ $_ := set $rule.annotations $name $text }}{{ end -}}
{{- end -}}
{{- $labels := merge (dict) .root.Values.rules.additionalRuleLabels -}}
{{- if eq .root.Values.alertmanager.as "alertmanagerConfig" -}}
{{- /* By default the operator lets a resource tell of its own namespace alone. */ -}}
{{- $labels = merge $labels (dict "namespace" (include "prefect-observability.namespace" .root)) -}}
{{- end -}}
{{- $_ := set $rule "labels" (merge (dict) (default (dict) $rule.labels) $labels) -}}
{{- end -}}
{{- end -}}

{{/* What alerts' texts tell people to do with Compose, and what that is here. */}}
{{- define "prefect-observability.commands" -}}
{{- $job := include "prefect-observability.backupJobName" (dict "root" . "job" "run") -}}
docker compose exec backup prefect-backup: scripts/backup-job -n {{ include "prefect-observability.namespace" . }} {{ $job }}
docker system df -v: kubectl get pv
secrets/backup_database_url: the Secret of backup.secrets.database
{{- end -}}

{{/* Where docs/alerts.md is served; the exporter does it for who can reach its Service. */}}
{{- define "prefect-observability.runbooks" -}}
{{- if .Values.links.runbooks -}}
{{- trimSuffix "/" .Values.links.runbooks -}}
{{- else if .Values.exporter.enabled -}}
{{- $scheme := ternary "https" "http" (ne .Values.exporter.tls.existingSecret "") -}}
{{- printf "%s://%s-exporter.%s.svc:9877/runbooks" $scheme (include "prefect-observability.fullname" .) (include "prefect-observability.namespace" .) -}}
{{- end -}}
{{- end -}}

{{/* The folders that are on, with their groups, by folder: a map of texts. */}}
{{- define "prefect-observability.ruleFolders" -}}
{{- $shipped := list -}}
{{- range $path, $_ := .Files.Glob "files/prometheus/rules/*/*.yml" }}{{ $shipped = append $shipped (base $path | trimSuffix ".yml") }}{{ end -}}
{{- range $path, $_ := .Values.rules.files }}{{ $shipped = append $shipped (base $path | trimSuffix ".yml") }}{{ end -}}
{{- range $name, $_ := .Values.rules.disabled -}}
{{- if not (has $name $shipped) }}{{ fail (printf "rules.disabled: %s is none of the alerts: mend its spelling (docs/kubernetes-alerts.md has all)" $name) }}{{ end -}}
{{- end -}}
{{- $folders := dict -}}
{{- range $folder, $on := .Values.rules.groups -}}
{{- if $on -}}
{{- with include "prefect-observability.ruleGroups" (dict "root" $ "folder" $folder) }}{{ $_ := set $folders $folder . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $folders -}}
{{- end -}}
