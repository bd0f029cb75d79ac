"""A pod template, patches of it and candidates: for what is computed here, and for the API server's own."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

LIVE: Json = {
    "metadata": {"labels": {"app": "census", "tier": "a"}, "annotations": {"note": "live"}},
    "spec": {
        "containers": [
            {
                "name": "model",
                "image": "census:3",
                "args": ["--a", "--b"],
                "env": [
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    {"name": "THREADS", "value": "4"},
                    {"name": "LAST", "value": "x"},
                ],
                "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
                "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}},
                "volumeMounts": [{"name": "models", "mountPath": "/models"}],
            },
            {"name": "helper", "image": "helper:1"},
        ],
        "volumes": [{"name": "models", "emptyDir": {}}, {"name": "other", "emptyDir": {}}],
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "nodeSelector": {"disk": "ssd"},
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["one"]}],
    },
}


def _model(**fields: Any) -> Json:
    return {"spec": {"containers": [{"name": "model", **fields}]}}


CASES: dict[str, Json] = {
    "nothing": {},
    "an image": _model(image="census:4"),
    "arguments are replaced": _model(args=["--c"]),
    "env: one changed, one new": _model(
        env=[{"name": "NEW", "value": "1"}, {"name": "THREADS", "value": "8"}]
    ),
    "env from a secret becomes a value": _model(env=[{"name": "KEY", "value": "v", "valueFrom": None}]),
    "env in another order": _model(
        env=[{"name": "LAST", "value": "y"}, {"name": "N", "value": "n"}, {"name": "KEY", "$patch": "delete"}]
    ),
    "env replaced": _model(env=[{"$patch": "replace"}, {"name": "ONLY", "value": "1"}]),
    "env away": _model(env=None),
    "resources by name": _model(resources={"limits": {"cpu": "2"}, "requests": {"cpu": None}}),
    "resources replaced": _model(resources={"$patch": "replace", "limits": {"cpu": "2"}}),
    "a container more": {"spec": {"containers": [{"name": "extra", "image": "x"}]}},
    "two more around one": {
        "spec": {"containers": [{"name": "x", "image": "x"}, {"name": "helper", "image": "h:2"}]}
    },
    "a container less": {"spec": {"containers": [{"name": "helper", "$patch": "delete"}]}},
    "a volume of another kind": {
        "spec": {
            "volumes": [{"name": "models", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/m"}}]
        }
    },
    "a volume and its mount": {
        "spec": {
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [{"name": "model", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        }
    },
    "tolerations are replaced": {"spec": {"tolerations": [{"key": "b", "operator": "Exists"}]}},
    "a map": {"spec": {"nodeSelector": {"gpu": "true", "disk": None}}},
    "host aliases": {"spec": {"hostAliases": [{"ip": "10.0.0.2", "hostnames": ["two"]}]}},
    "labels": {"metadata": {"labels": {"tier": "b", "app": "census"}, "annotations": None}},
}


def _patched(metadata: Json, *containers: Json) -> Json:
    return {
        "patch": {"image": "census:4", "template": {"metadata": metadata, "spec": {"containers": containers}}}
    }


_DNS = [{"name": f"dns-{each.lower()}", "containerPort": 53, "protocol": each} for each in ("TCP", "UDP")]
_NEW: Json = {"name": "m", "image": "census:4", "ports": [{"containerPort": 8080, "name": "http"}, *_DNS]}

CANDIDATES: dict[str, Json] = {
    "an image": {"patch": {"image": "census:4"}},
    "labels that conflict": _patched({"labels": {"app": "census-v4", "track": "shadow"}}),
    "labels taken away": _patched({"labels": {"tier": None}}),
    "labels replaced": _patched({"labels": {"$patch": "replace", "a": "b"}, "annotations": {"x": "y"}}),
    "annotations away": _patched({"labels": {"app": "x"}, "annotations": None}),
    "an annotation less": _patched({"annotations": {"note": None}}),
    "a container and a variable less": _patched(
        {},
        {"name": "model", "env": [{"name": "KEY", "$patch": "delete"}], "args": None},
        {"name": "helper", "$patch": "delete"},
    ),
    "a variable from a secret": {"patch": {"env": [{"name": "KEY", "value": "v"}], "image": "census:4"}},
    "text that looks like something else": {
        "patch": {
            "env": [
                {"name": f"V{place}", "value": value}
                for place, value in enumerate(
                    ("y", "N", "on", "1e3", "0o17", "1_0", "~", "", "a: b", " x", "é")
                )
            ]
        }
    },
    "a template": {
        "template": {"metadata": {"labels": {"app": "census-v4"}}, "spec": {"containers": [_NEW]}}
    },
    "a template with annotations": {
        "template": {"metadata": {"annotations": {"note": "new", "x": "y"}}, "spec": {"containers": [_NEW]}}
    },
    "a template without metadata": {"template": {"spec": {"containers": [_NEW]}}},
}
"""Of `LIVE`: none may change its labels."""
