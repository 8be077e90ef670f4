{{/*
The pod of a part. Takes root, component, role, values, which are jaegerValues; ports, by their names; mounts and
volumes of its own, as texts.
*/}}
{{- define "prefect-observability.jaegerPod" -}}
{{- $secretFiles := include "prefect-observability.jaegerSecretFiles" . | fromJsonArray -}}
metadata:
  {{- include "prefect-observability.podMetadata" (merge (dict "annotations" (dict "checksum/config" (include "prefect-observability.jaegerConfig" .root | sha256sum))) .) | nindent 2 }}
spec:
  {{- include "prefect-observability.podSpec" . | nindent 2 }}
  containers:
    - name: jaeger
      image: {{ include "prefect-observability.image" (dict "root" .root "image" .values.image) }}
      imagePullPolicy: {{ .values.image.pullPolicy }}
      args:
        {{- range include "prefect-observability.jaegerFiles" . | fromJsonArray }}
        - --config=/etc/jaeger/{{ . }}.yaml
        {{- end }}
        {{- with .values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        {{- range $name, $port := merge (dict "metrics" 8888 "health" 13133) .ports }}
        - {name: {{ $name }}, containerPort: {{ $port }}}
        {{- end }}
      env:
        {{- with include "prefect-observability.jaegerMemory" .values.resources }}
        - {name: GOMEMLIMIT, value: {{ . }}}
        {{- end }}
        {{- include "prefect-observability.jaegerEnv" . | trim | nindent 8 }}
        {{- with .values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "prefect-observability.withoutNull" .values.securityContext | nindent 8 }}
      resources:
        {{- toYaml .values.resources | nindent 8 }}
      {{- include "prefect-observability.probes" .values | trim | nindent 6 }}
      volumeMounts:
        - {name: config, mountPath: /etc/jaeger, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if $secretFiles }}
        - {name: credentials, mountPath: {{ include "prefect-observability.jaegerCredentials" . }}, readOnly: true}
        {{- end }}
        {{- with .mounts }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with .values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "prefect-observability.componentName" (dict "root" .root "component" "jaeger") }}}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- with $secretFiles }}
    {{- include "prefect-observability.jaegerSecretVolume" . | nindent 4 }}
    {{- end }}
    {{- with .volumes }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with .values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* A Deployment of a part. Takes root, role, ports. */}}
{{- define "prefect-observability.jaegerDeployment" -}}
{{- $values := include "prefect-observability.jaegerValues" . | fromYaml -}}
{{- $part := merge (dict "component" (printf "jaeger-%s" .role) "values" $values) . -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "prefect-observability.metadata" $part | nindent 2 }}
spec:
  {{- if not (dig "autoscaling" "enabled" false $values) }}
  replicas: {{ $values.replicas }}
  {{- end }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels:
      {{- include "prefect-observability.selectorLabels" $part | nindent 6 }}
  template:
    {{- include "prefect-observability.jaegerPod" $part | nindent 4 }}
{{- end -}}

{{/*
A Service. Takes root, component; of, whose pods are behind it; headless; ports, by their names.
*/}}
{{- define "prefect-observability.jaegerService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "prefect-observability.metadata" . | nindent 2 }}
spec:
  type: ClusterIP
  {{- if .headless }}
  clusterIP: None
  {{- end }}
  selector:
    {{- include "prefect-observability.selectorLabels" (dict "root" .root "component" .of) | nindent 4 }}
  ports:
    {{- range $name, $port := .ports }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}}
    {{- end }}
{{- end -}}

{{/* A part's PodDisruptionBudget. Takes root, role. */}}
{{- define "prefect-observability.jaegerPodDisruptionBudget" -}}
{{- include "prefect-observability.podDisruptionBudget" (dict "root" .root "component" (printf "jaeger-%s" .role) "values" (index .root.Values.jaeger .role)) -}}
{{- end -}}
