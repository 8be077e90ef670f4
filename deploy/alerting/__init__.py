"""Alertmanager's configuration, made from deploy/alertmanager/teams.yml: who is told of what.

``teams`` reads the file, ``receivers`` and ``routes`` turn it into Alertmanager's words,
``inhibitions`` says which alert silences which, and ``document`` puts them together. ``operator``
and ``resource`` put the same into the words of Prometheus Operator, for Kubernetes.
"""
