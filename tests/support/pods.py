"""Builders of pods as the API server sends them: `pod(container(ports=[port(8080, "http")]))`."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def port(number: int, name: str = "", **fields: Any) -> Json:
    named = {"name": name} if name else {}
    return {"containerPort": number, **named, "protocol": "TCP", **fields}


def container(name: str = "model", ports: list[Json] | None = None, **fields: Any) -> Json:
    return {"name": name, "image": f"{name}:1", "ports": ports or [], "resources": {}, **fields}


def pod(*containers: Json, metadata: Json | None = None, **spec: Any) -> Json:
    given = {"name": "census-1", "namespace": "ml", "labels": {"app": "census"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**given, **(metadata or {})},
        "spec": {"containers": list(containers), **spec},
    }


def serving(**fields: Any) -> Json:
    """The usual one: a container with a named port and probes by name."""
    probe = {"httpGet": {"path": "/healthz", "port": "http"}}
    return container(ports=[port(8080, "http")], readinessProbe=probe, livenessProbe=probe, **fields)
