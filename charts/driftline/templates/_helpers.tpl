{{- define "driftline.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "driftline.fullname" -}}
{{- default (include "driftline.name" .) .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "driftline.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "driftline.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels by which Services, budgets and policies find the pods of one program: (dict "root" . "part" "injector") */}}
{{- define "driftline.selector" -}}
app.kubernetes.io/name: {{ include "driftline.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{/* metadata of an object: (dict "root" . "name" NAME "part" PART "labels" DICT "annotations" DICT) */}}
{{- define "driftline.metadata" -}}
name: {{ .name }}
labels:
  {{- include "driftline.labels" .root | nindent 2 }}
  {{- with .part }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := merge (default dict .annotations) .root.Values.extraAnnotations }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "driftline.controller" -}}{{ include "driftline.fullname" . }}-controller{{- end -}}
{{- define "driftline.hub" -}}{{ include "driftline.fullname" . }}-hub{{- end -}}
{{- define "driftline.certificate" -}}{{ include "driftline.fullname" . }}-webhook{{- end -}}
{{- define "driftline.authority" -}}{{ include "driftline.fullname" . }}-ca{{- end -}}
{{- /* The Certificates of the chart, by commas: their Secrets outlive them, so both go before an uninstall. */ -}}
{{- define "driftline.certificates" -}}
{{- include "driftline.certificate" . -}}
{{- if not .Values.certificates.certManager.issuerRef }},{{ include "driftline.authority" . }}{{ end -}}
{{- end -}}
{{- define "driftline.injector" -}}{{ include "driftline.fullname" . }}-injector{{- end -}}

{{/* An image's reference: (dict "root" . "image" .Values.operator.image) */}}
{{- define "driftline.image" -}}
{{- with .root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .image.repository -}}:{{ default .root.Chart.AppVersion .image.tag -}}
{{- with .image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "driftline.watchArgument" -}}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- end -}}

{{/* What both programs' pods share, fit for the restricted level. (dict "root" . "part" PART "values" .Values.PART) */}}
{{- define "driftline.podTop" -}}
{{- if .stranger }}
# It never asks the API server.
automountServiceAccountToken: false
{{- else }}
serviceAccountName: {{ include "driftline.fullname" .root }}-{{ .part }}
automountServiceAccountToken: true
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "driftline.selector" . | nindent 8 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "driftline.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Whether a program gets a disruption budget: with one replica it would keep its node from ever being drained. */}}
{{- define "driftline.budget" -}}
{{- if and .podDisruptionBudget.enabled (gt (int .replicas) 1) }}true{{ end -}}
{{- end -}}

{{- define "driftline.environment" -}}
env:
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - name: POD_NAMESPACE
    valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end -}}

{{- /* What injector and controller must say alike: the one gives it to pods, the other compares with it. */ -}}
{{- define "driftline.sidecarArguments" -}}
- --sidecar-image={{ include "driftline.image" (dict "root" . "image" .Values.sidecar.image) }}
- --sidecar-image-pull-policy={{ .Values.image.pullPolicy }}
- --push-url=https://{{ include "driftline.controller" . }}.{{ .Release.Namespace }}.svc:8443
{{- if .Values.hub.enabled }}
- --hub-url=https://{{ include "driftline.hub" . }}.{{ .Release.Namespace }}.svc:8090
{{- end }}
- --scrape={{ .Values.metrics.scrape }}
- {{ printf "--proxy-resources=%s" (toJson .Values.sidecar.proxy.resources) | quote }}
- {{ printf "--analyzer-resources=%s" (toJson .Values.sidecar.analyzer.resources) | quote }}
{{- with .Values.sidecar.pullSecrets }}
- --sidecar-pull-secrets={{ join "," . }}
{{- end }}
{{- end -}}
