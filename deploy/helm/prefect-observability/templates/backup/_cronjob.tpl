{{/*
A CronJob of the backup. Takes root; job, its name; values, its schedule and limits; args, of prefect-backup; database,
the Secret's key with its address.
*/}}
{{- define "prefect-observability.backupCronJob" -}}
{{- $backup := .root.Values.backup -}}
{{- $job := .values -}}
{{- $about := dict "root" .root "component" (printf "backup-%s" .job) "values" $backup -}}
{{- $with := dict "root" .root "database" .database "all" true -}}
{{- $values := merge (dict "affinity" (include "prefect-observability.backupAffinity" . | fromYaml)) (omit $backup "affinity") -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  {{- include "prefect-observability.metadata" (merge (dict "name" (include "prefect-observability.backupJobName" .)) $about) | nindent 2 }}
spec:
  schedule: {{ $job.schedule | quote }}
  timeZone: {{ $backup.timeZone }}
  suspend: {{ $job.suspend }}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: {{ $job.startingDeadlineSeconds | int64 }}
  successfulJobsHistoryLimit: {{ $backup.successfulJobsHistoryLimit }}
  failedJobsHistoryLimit: {{ $backup.failedJobsHistoryLimit }}
  jobTemplate:
    metadata:
      labels:
        {{- include "prefect-observability.labels" $about | nindent 8 }}
    spec:
      backoffLimit: {{ $job.backoffLimit }}
      activeDeadlineSeconds: {{ $job.activeDeadlineSeconds | int64 }}
      # Also of those that a person has started, which no limit of the history counts.
      ttlSecondsAfterFinished: {{ $backup.ttlSecondsAfterFinished | int64 }}
      podFailurePolicy:
        rules:
          # A bad setting, or a restore that was only to tell what it would do: it ends so each time.
          - action: FailJob
            onExitCodes: {containerName: backup, operator: In, values: [2]}
          {{- if ne .job "restore" }}
          # The node was drained: another one goes on, and the attempt does not count.
          - action: Ignore
            onPodConditions: [{type: DisruptionTarget, status: "True"}]
          {{- end }}
      template:
        metadata:
          # No autoscaler removes the node under a backup.
          {{- include "prefect-observability.podMetadata" (merge (dict "annotations" (dict "cluster-autoscaler.kubernetes.io/safe-to-evict" "false")) $about) | nindent 10 }}
        spec:
          restartPolicy: Never
          hostname: {{ include "prefect-observability.backupHostname" . }}
          {{- include "prefect-observability.podSpec" (dict "root" .root "component" "backup" "values" $values) | nindent 10 }}
          containers:
            - name: backup
              image: {{ include "prefect-observability.image" (dict "root" .root "image" $backup.image) }}
              imagePullPolicy: {{ $backup.image.pullPolicy }}
              args: {{ toJson .args }}
              env:
                {{- include "prefect-observability.backupEnv" . | nindent 16 }}
              {{- with $backup.extraEnvFrom }}
              envFrom:
                {{- toYaml . | nindent 16 }}
              {{- end }}
              securityContext:
                {{- include "prefect-observability.withoutNull" $backup.securityContext | nindent 16 }}
              resources:
                {{- toYaml (default $backup.resources $job.resources) | nindent 16 }}
              volumeMounts:
                - name: state
                  mountPath: /var/lib/prefect-backup
                - name: scratch
                  mountPath: /scratch
                {{- with $backup.secrets.credentials }}
                - name: credentials-of-store
                  mountPath: /etc/prefect-observability/backup-credentials
                  readOnly: true
                {{- end }}
                {{- include "prefect-observability.backupMounts" $with | nindent 16 }}
          volumes:
            - name: scratch
              {{- include "prefect-observability.backupScratch" . | nindent 14 }}
            {{- with $backup.secrets.credentials }}
            - name: credentials-of-store
              secret:
                secretName: {{ . | quote }}
                defaultMode: 0440
            {{- end }}
            {{- include "prefect-observability.backupVolumes" $with | nindent 12 }}
{{- end -}}

{{/* A CronJob's name has 52 characters at most. Takes root, job. */}}
{{- define "prefect-observability.backupJobName" -}}
{{- printf "%s-backup-%s" (include "prefect-observability.fullname" .root | trunc 37 | trimSuffix "-") .job -}}
{{- end -}}

{{/*
Beside the pod with the metrics: they share a volume that one node has at a time, and the lock on it, which keeps two
jobs apart, is the node's. Takes root.
*/}}
{{- define "prefect-observability.backupAffinity" -}}
{{- $affinity := deepCopy .root.Values.backup.affinity -}}
{{- $pods := default (dict) $affinity.podAffinity -}}
{{- $labels := include "prefect-observability.selectorLabels" (dict "root" .root "component" "backup") | fromYaml -}}
{{- $beside := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" $labels) -}}
{{- $key := "requiredDuringSchedulingIgnoredDuringExecution" -}}
{{- $pods = set $pods $key (append (default (list) (get $pods $key)) $beside) -}}
{{- toYaml (set $affinity "podAffinity" $pods) -}}
{{- end -}}

{{/* Room for the drill: on the node, or a volume that is there as long as the pod. Takes root. */}}
{{- define "prefect-observability.backupScratch" -}}
{{- $scratch := .root.Values.backup.scratch -}}
{{- if eq $scratch.type "emptyDir" -}}
emptyDir: {sizeLimit: {{ $scratch.size }}}
{{- else -}}
ephemeral:
  volumeClaimTemplate:
    spec:
      accessModes: [ReadWriteOnce]
      {{- include "prefect-observability.storageClass" (dict "root" .root "persistence" $scratch) | nindent 6 }}
      resources:
        requests:
          storage: {{ $scratch.size }}
{{- end -}}
{{- end -}}
