{{/* What a pod of the backup finds in its environment. Takes root. No secret: it names the files that hold them. */}}
{{- define "prefect-observability.backupEnv" -}}
{{- $backup := .root.Values.backup -}}
{{- $folder := include "prefect-observability.backupSecretsFolder" . -}}
{{- $settings := dict
      "REPOSITORY" $backup.repository
      "PASSWORD_FILE" (printf "%s/repository-password" $folder)
      "KEY_PASSWORD_FILE" (printf "%s/key-repository-password" $folder)
      "DATABASE_FILE" (printf "%s/database" $folder)
      "ENCRYPTION_KEY_FILE" (printf "%s/encryption-key" $folder)
      "CREDENTIALS_DIR" "/etc/prefect-observability/backup-credentials"
      "SCRATCH_DIR" "/scratch"
      "LISTEN_ADDRESS" "0.0.0.0:9878"
      "SCHEDULE" $backup.run.schedule
      "DRILL_SCHEDULE" $backup.drill.schedule
      "CHECK_SCHEDULE" $backup.check.schedule
      "JITTER" $backup.jitter -}}
{{- with $backup.keyRepository }}{{ $_ := set $settings "KEY_REPOSITORY" . }}{{ end -}}
{{- with include "prefect-observability.targetsFile" .root }}{{ $_ := set $settings "TARGETS_FILE" . }}{{ end -}}
{{- range $name, $value := $backup.settings }}{{ $_ := set $settings $name $value }}{{ end -}}
{{- range $name, $value := $settings }}
- name: PREFECT_BACKUP_{{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
# As the schedules are meant: for the time of the next run.
- name: TZ
  value: {{ $backup.timeZone }}
{{- with $backup.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "prefect-observability.backupSecretsFolder" -}}
/etc/prefect-observability/backup
{{- end -}}

{{/*
The sources of the projected volume with secrets. Takes root; database, the Secret's key with its address; all, where
the repository is to be opened too.
*/}}
{{- define "prefect-observability.backupSecrets" -}}
{{- $secrets := .root.Values.backup.secrets -}}
{{- $files := dict -}}
{{- if .database.name }}{{ $_ := set $files "database" .database }}{{ end -}}
{{- if $secrets.encryptionKey.name }}{{ $_ := set $files "encryption-key" $secrets.encryptionKey }}{{ end -}}
{{- if .all }}
{{- $_ := set $files "repository-password" $secrets.repositoryPassword }}
{{- $_ := set $files "key-repository-password" $secrets.keyRepositoryPassword }}
{{- end -}}
{{- range $file, $from := $files }}
- secret:
    name: {{ $from.name | quote }}
    items: [{key: {{ $from.key | quote }}, path: {{ $file }}}]
    {{- if and (eq $file "key-repository-password") (not $secrets.encryptionKey.name) }}
    # Nothing is in that repository.
    optional: true
    {{- end }}
{{- end }}
{{- end -}}

{{/* The volumes that all pods of the backup have. Takes root, database, all. */}}
{{- define "prefect-observability.backupVolumes" -}}
- name: state
  persistentVolumeClaim:
    claimName: {{ include "prefect-observability.backupClaim" . | quote }}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- with include "prefect-observability.backupSecrets" . }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- include "prefect-observability.backupTargets" (dict "of" "prefect-observability.targetVolumes" "root" .root "all" .all) }}
{{- with .root.Values.backup.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The mounts of these. Takes root, database, all. */}}
{{- define "prefect-observability.backupMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if include "prefect-observability.backupSecrets" . }}
- name: secrets
  mountPath: {{ include "prefect-observability.backupSecretsFolder" . }}
  readOnly: true
{{- end }}
{{- include "prefect-observability.backupTargets" (dict "of" "prefect-observability.targetMounts" "root" .root "all" .all) }}
{{- with .root.Values.backup.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
The volumes or mounts with the targets, and with their credentials only for who asks Prefect. Takes of, a template of
theirs; root, all.
*/}}
{{- define "prefect-observability.backupTargets" -}}
{{- $all := .all -}}
{{- range include .of .root | fromYamlArray }}
{{- if or $all (ne .name "credentials") }}
{{ toYaml (list .) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "prefect-observability.backupClaim" -}}
{{- default (include "prefect-observability.componentName" (dict "root" .root "component" "backup")) .root.Values.backup.persistence.existingClaim -}}
{{- end -}}

{{/*
By it restic tells whose lock is left behind: all pods of an installation have the same, and no other installation has
it. Takes root.
*/}}
{{- define "prefect-observability.backupHostname" -}}
{{- $installation := printf "%s/%s" (include "prefect-observability.namespace" .root) (include "prefect-observability.fullname" .root) -}}
{{- printf "prefect-backup-%s" (default ($installation | sha256sum | trunc 12) .root.Values.backup.installation) -}}
{{- end -}}
