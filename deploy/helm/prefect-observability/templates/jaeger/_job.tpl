{{/* A job's name, which Kubernetes wants short, as its pods have more of it. Takes root, component. */}}
{{- define "prefect-observability.jaegerJobName" -}}
{{- include "prefect-observability.componentName" . | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/*
The pod of a job beside Jaeger, which runs the command of its image. Takes root, component; hook, whether it is one;
image and resources; args; environment, as text; files, a list as jaegerSecretFiles makes it.
*/}}
{{- define "prefect-observability.jaegerJobPod" -}}
{{- $values := include "prefect-observability.jaegerValues" (dict "root" .root "role" "query") | fromYaml -}}
{{- $_ := set $values "topologySpreadConstraints" list -}}
{{- /* A hook is there before the account that this chart makes. */}}
{{- if and .hook $values.serviceAccount.create }}{{ $_ := set $values "serviceAccount" (dict "create" false "name" "") }}{{ end -}}
metadata:
  {{- include "prefect-observability.podMetadata" (dict "root" .root "component" .component "values" $values) | nindent 2 }}
spec:
  {{- include "prefect-observability.podSpec" (dict "root" .root "component" .component "values" $values) | nindent 2 }}
  restartPolicy: Never
  containers:
    - name: {{ .component }}
      image: {{ include "prefect-observability.image" (dict "root" .root "image" .image) }}
      imagePullPolicy: {{ .image.pullPolicy }}
      {{- with .args }}
      args:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with concat (.environment | fromYamlArray) $values.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "prefect-observability.withoutNull" $values.securityContext | nindent 8 }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- if .files }}
        - {name: credentials, mountPath: {{ include "prefect-observability.jaegerCredentials" . }}, readOnly: true}
        {{- end }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- with .files }}
    {{- include "prefect-observability.jaegerSecretVolume" . | nindent 4 }}
    {{- end }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Who the index cleaner is for OpenSearch. */}}
{{- define "prefect-observability.jaegerCleanerEnv" -}}
{{- with .Values.jaeger.storage.opensearch -}}
{{- if .username -}}
- {name: ES_USERNAME, value: {{ .username | quote }}}
{{- include "prefect-observability.jaegerSecretEnv" (dict "name" "ES_PASSWORD" "from" .password) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the image jaeger-cassandra-schema asks for. */}}
{{- define "prefect-observability.jaegerSchemaEnv" -}}
{{- with .Values.jaeger.storage.cassandra -}}
- {name: CQLSH_HOST, value: {{ first .servers | quote }}}
- {name: CQLSH_PORT, value: {{ int .port | quote }}}
- {name: MODE, value: prod}
- {name: KEYSPACE, value: {{ .keyspace | quote }}}
- {name: DATACENTER, value: {{ .datacenter | quote }}}
- {name: REPLICATION_FACTOR, value: {{ int .schema.replicationFactor | quote }}}
- {name: TRACE_TTL, value: {{ trimSuffix "h" $.Values.jaeger.retention | int | mul 3600 | quote }}}
# Where cqlsh writes its history.
- {name: HOME, value: /tmp}
{{- if .username }}
- {name: CASSANDRA_USERNAME, value: {{ .username | quote }}}
{{- include "prefect-observability.jaegerSecretEnv" (dict "name" "CASSANDRA_PASSWORD" "from" .password) }}
{{- end }}
{{- if .tls.enabled }}
- {name: CQLSH_SSL, value: --ssl}
- {name: SSL_CERTFILE, value: {{ include "prefect-observability.jaegerCredentials" $ }}/store-ca.crt}
{{- end }}
{{- end -}}
{{- end -}}
