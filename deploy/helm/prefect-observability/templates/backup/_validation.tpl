{{/* Refuse what would keep no backup, or none that can be read. Takes the root. */}}
{{- define "prefect-observability.validateBackup" -}}
{{- with .Values.backup -}}
{{- if not .repository -}}
{{- fail "backup.repository is empty: name a store that the cluster's loss does not reach, such as s3:https://s3.eu-central-1.amazonaws.com/bucket/prefect; to try it, /var/lib/prefect-backup/repository is on the volume of backup.persistence" -}}
{{- end -}}
{{- range $name := list "repository" "keyRepository" -}}
{{- if regexMatch "://[^/@]*:[^/@]*@" (index $.Values.backup $name) -}}
{{- fail (printf "backup.%s holds a password, and is no secret: leave it out, and give it as a key of the Secret backup.secrets.credentials" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .secrets.encryptionKey.name (not .keyRepository) -}}
{{- fail "backup.keyRepository is empty: backup.secrets.encryptionKey is kept apart from what it opens; name another store, or another folder of it" -}}
{{- end -}}
{{- if and .keyRepository (eq .keyRepository .repository) -}}
{{- fail "backup.keyRepository is the same as backup.repository: who reads one would have both the key and what it opens; name another store, or another folder of it" -}}
{{- end -}}
{{- if and .restore.enabled (not .restore.database.name) -}}
{{- fail "backup.restore.database.name is empty: name the Secret with the address of the role that owns Prefect's tables, as backup.secrets.database has that of one that reads" -}}
{{- end -}}
{{- end -}}
{{- end -}}
