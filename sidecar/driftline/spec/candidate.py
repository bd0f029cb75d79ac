"""The candidate of a ShadowDeployment: a changed live workload, a template of its own, or a Service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from driftline.errors import Problem
from driftline.quantity import Duration
from driftline.spec.endpoint import PORT_NAME
from driftline.spec.fragment import Fragment
from driftline.spec.injection import ContainerName, ContainerResources
from driftline.spec.part import Part, Rule
from driftline.spec.policy import ObjectName


class EnvVar(Part, frozen=True, kw_only=True):
    """An environment variable with its value."""

    name: Annotated[
        Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")],
        Meta(description="Its name."),
    ]
    value: Annotated[Annotated[str, Meta(max_length=32_768)], Meta(description="Its value.")] = ""


class Patch(Part, frozen=True, kw_only=True):
    """What differs from the live workload's pod template: at least one thing."""

    container: Annotated[
        ContainerName | None,
        Meta(
            description="The container that image, env and resources are of: one of the live pods'. Default: "
            "the model's."
        ),
    ] = None
    image: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1024)] | None,
        Meta(description="Its image."),
    ] = None
    env: Annotated[
        Annotated[tuple[EnvVar, ...], Meta(max_length=64)],
        Meta(description="Environment variables that are set, beside those it has."),
    ] = ()
    resources: Annotated[
        ContainerResources | None, Meta(description="Its resources, name by name over those it has.")
    ] = None
    template: Annotated[
        Fragment | None,
        Meta(description="Any other strategic merge patch of the pod template (`metadata`, `spec`)."),
    ] = None

    RULES: ClassVar = (
        Rule(
            "has(self.image) || (has(self.env) && size(self.env) > 0) || has(self.resources) "
            "|| has(self.template)",
            "must change something: image, env, resources or template",
        ),
        Rule(
            "!has(self.container) || has(self.image) || (has(self.env) && size(self.env) > 0) "
            "|| has(self.resources)",
            "container is only read with image, env or resources",
        ),
    )
    SCHEMA: ClassVar = {"env": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}}

    def _check_something(self) -> Iterator[Problem]:
        if not _of_container(self) and self.template is None:
            yield Problem("", "must change something: image, env, resources or template")

    def _check_container(self) -> Iterator[Problem]:
        if self.container is not None and not _of_container(self):
            yield Problem("container", "is only read with image, env or resources")

    def _check_env(self) -> Iterator[Problem]:
        names = [variable.name for variable in self.env]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield Problem(f"env[{index}].name", f"is there twice ({name!r})")


def _of_container(patch: Patch) -> bool:
    return patch.image is not None or len(patch.env) > 0 or patch.resources is not None


class CandidateService(Part, frozen=True, kw_only=True):
    """A Service that leads to a candidate somebody else runs."""

    name: Annotated[ObjectName, Meta(description="Its name, in the same namespace.")]
    port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)]
        | Annotated[str, Meta(min_length=1, max_length=15, pattern=PORT_NAME)],
        Meta(description="The Service's port: its number, or its name."),
    ]


class Candidate(Part, frozen=True, kw_only=True):
    """What is compared with the live model: exactly one of patch, template and service."""

    patch: Annotated[
        Patch | None, Meta(description="The live workload with something changed: its image, say.")
    ] = None
    template: Annotated[
        Fragment | None,
        Meta(
            description="A whole pod template (`metadata`, `spec`), as a Deployment has it. Who writes it "
            "must be allowed to create Deployments."
        ),
    ] = None
    service: Annotated[
        CandidateService | None,
        Meta(description="An existing Service; nothing is run, nothing promoted."),
    ] = None
    replicas: Annotated[
        Annotated[int, Meta(ge=1, le=1000)],
        Meta(description="Pods of the candidate; not with `service`. Default 1."),
    ] = 1
    model_version: Annotated[
        Annotated[str, Meta(min_length=1, max_length=128)] | None,
        Meta(
            description="The candidate's model version: a promotion writes it into the monitor's "
            "`model.version`. Default: the monitor's stays as it is."
        ),
    ] = None
    warm_up: Annotated[
        Duration,
        Meta(
            description="How long the ready candidate gets copies of requests that don't count, so that "
            "caches fill and code is compiled; from when the first live pod sends them. A candidate that "
            "stops being ready meanwhile starts over. Default 0s."
        ),
    ] = Duration(0)

    SCHEMA: ClassVar = {
        "template": {
            "required": ["spec"],
            "properties": {
                "spec": {
                    "type": "object",
                    "description": "The pod's specification.",
                    "x-kubernetes-preserve-unknown-fields": True,
                }
            },
        }
    }
    RULES: ClassVar = (
        Rule(
            "[has(self.patch), has(self.template), has(self.service)].filter(x, x).size() == 1",
            "must have exactly one of patch, template and service",
        ),
        Rule(
            "!has(self.service) || !has(self.replicas) || self.replicas == 1",
            "replicas is not read with service",
        ),
    )

    def _check_one(self) -> Iterator[Problem]:
        sides = (("patch", self.patch), ("template", self.template), ("service", self.service))
        given = [name for name, value in sides if value is not None]
        if len(given) != 1:
            what = " and ".join(given) or "none"
            yield Problem("", f"must have exactly one of patch, template and service ({what} given)")

    def _check_replicas(self) -> Iterator[Problem]:
        if self.service is not None and self.replicas != 1:
            yield Problem("replicas", "is not read with service")

    def _check_template(self) -> Iterator[Problem]:
        if self.template is not None and not isinstance(self.template.get("spec"), dict):
            yield Problem("template.spec", "is required: a pod template has a spec")
