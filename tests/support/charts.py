"""The chart in the forms that tests render: every value that changes what is rendered is in one of them."""

from __future__ import annotations

import copy
import functools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster.build import helm, kubernetes_version, tested

CHART = Path(__file__).parents[2] / "charts" / "driftline"
Json = dict[str, Any]

SCHEDULED: Json = {
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
}

VALUES: dict[str, Json] = {
    "defaults": {},
    "some-namespaces": {"watchNamespaces": ["ml", "risk"]},
    "one-replica": {"controller": {"replicas": 1}, "injector": {"replicas": 1}},
    "budgets": {
        "controller": {"replicas": 3, "podDisruptionBudget": {"minAvailable": "50%"}},
        "injector": {"replicas": 3, "podDisruptionBudget": {"minAvailable": 2}},
    },
    "no-budgets": {
        "controller": {"podDisruptionBudget": {"enabled": False}},
        "injector": {"podDisruptionBudget": {"enabled": False}},
    },
    "no-candidates": {"shadow": {"candidates": False}},
    "candidates-without-policy": {"shadow": {"requirePolicy": False}},
    "no-injection": {"injection": {"enabled": False, "failurePolicy": "Fail", "guardArguments": False}},
    "network-policies": {
        "networkPolicy": {
            "enabled": True,
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
        }
    },
    "prometheus-operator": {
        "metrics": {
            "scrape": "podmonitor",
            "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "15s"},
            "prometheusRule": {
                "enabled": True,
                "labels": {"release": "prometheus"},
                "additionalGroups": [{"name": "mine", "rules": [{"alert": "A", "expr": "vector(1)"}]}],
            },
        }
    },
    "rule-without-groups": {"metrics": {"scrape": "none", "prometheusRule": {"enabled": True}}},
    "cert-manager": {"certificates": {"issuer": "cert-manager"}},
    "an-issuer": {
        "certificates": {
            "issuer": "cert-manager",
            "certManager": {
                "issuerRef": {"name": "ca", "kind": "ClusterIssuer"},
                "duration": "48h",
                "renewBefore": "24h",
            },
        }
    },
    "private-registry": {
        "image": {
            "registry": "registry.example.com/mirror/",
            "pullSecrets": [{"name": "regcred"}],
            "pullPolicy": "Always",
        },
        "operator": {"image": {"repository": "team/operator", "tag": "v9", "digest": "sha256:" + "1" * 64}},
        "sidecar": {
            "pullSecrets": ["regcred"],
            "image": {"repository": "team/sidecar", "tag": "v9", "digest": "sha256:" + "0" * 64},
        },
    },
    "labels-and-annotations": {
        "extraLabels": {"team": "ml"},
        "extraAnnotations": {"owner": "ml@example.com"},
        "controller": {"podAnnotations": {"a": "b"}, "serviceAccount": {"annotations": {"role": "x"}}},
        "injector": {"podAnnotations": {"c": "d"}, "serviceAccount": {"annotations": {"role": "y"}}},
    },
    "hub": {"hub": {"enabled": True}},
    "hub-on-a-volume-of-yours": {
        "hub": {
            "enabled": True,
            "persistence": {"existingClaim": "fast", "storageClass": "ssd", "size": "100Gi"},
            "tokens": {"existingSecret": "hub-tokens"},
            "evaluateEvery": "5m",
            "logLevel": "debug",
            "resources": {"requests": {"cpu": "1"}},
            "podAnnotations": {"a": "b"},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "ml", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
            ],
            "priorityClassName": "system-cluster-critical",
            "extraArgs": ["--rate=1000"],
        }
    },
    "hub-without-a-volume": {"hub": {"enabled": True, "persistence": {"enabled": False}}},
    "hubs-on-postgresql": {
        "hub": {
            "enabled": True,
            "replicas": 3,
            "database": {"existingSecret": "postgresql", "key": "uri"},
            "podDisruptionBudget": {"enabled": True, "minAvailable": 2},
        },
        "certificates": {"issuer": "cert-manager"},
        "networkPolicy": {"enabled": True},
    },
    "hub-by-url": {"hub": {"enabled": True, "database": {"url": "postgresql://hub@db.ml.svc/driftline"}}},
    "names": {"nameOverride": "drift", "fullnameOverride": "ml-drift"},
    "scheduling": {"injector": {"hostNetwork": True, "port": 10250, **SCHEDULED}, "controller": SCHEDULED},
    "resources": {
        "controller": {"resources": {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}}},
        "injector": {"resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}},
        "sidecar": {
            "proxy": {"resources": {"requests": {"cpu": "10m"}}},
            "analyzer": {"resources": {"limits": {"memory": "1Gi"}}},
        },
    },
    "programs": {
        "controller": {
            "allowRestarts": False,
            "pullInterval": "10s",
            "pullConcurrency": 64,
            "statusInterval": "1m",
            "resync": "10m",
            "leaseDuration": "30s",
            "logLevel": "debug",
            "extraArgs": ["--identity=a"],
        },
        "injector": {"logLevel": "warning", "extraArgs": ["--identity=b"]},
    },
    "no-definitions": {"crds": {"install": False}},
    "definitions-that-go": {"crds": {"keep": False}},
}


class Loader(yaml.CSafeLoader):
    """Takes `1e-09`, as Helm writes numbers, for one: PyYAML wants a dot in it."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def render(values: Json, *options: str) -> subprocess.CompletedProcess[str]:
    """`helm template`, for the Kubernetes that the tests run."""
    command = [str(helm()), "template", "driftline", str(CHART), "--namespace", "driftline-system"]
    command += ["--kube-version", kubernetes_version(tested()), "--values", "-", *options]
    return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)


def documents(values: Json) -> list[Json]:
    """What is rendered, object by object."""
    return copy.deepcopy(_documents(json.dumps(values)))


@functools.cache
def _documents(values: str) -> list[Json]:
    done = render(json.loads(values))
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.load_all(done.stdout, Loader) if each]
