"""The images of the end-to-end tests, built from the project's own Dockerfiles without a registry.

A local base (Debian with Python) stands for the registry's; wheels are gathered beforehand, so that the
builds themselves need no network. What was built from the same inputs is kept outside the checkout.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from e2e.cluster.build import cache, go, locked
from e2e.cluster.node import Node, require
from e2e.cluster.processes import run
from e2e.cluster.report import ClusterError, say, step

REPO: Final = Path(__file__).parents[2]
VERSION: Final = "0.1.0"
SIDECAR: Final = f"docker.io/driftline/driftline-sidecar:{VERSION}"
OPERATOR: Final = f"docker.io/driftline/driftline-operator:{VERSION}"
MODEL: Final = "localhost/model:1"
COREDNS_VERSION: Final = "v1.12.4"
METRICS_SERVER_VERSION: Final = "v0.9.0"
_BASE: Final = "localhost/base:2"
_SUITE: Final = "bookworm"


def load_basic(node: Node) -> None:
    """What every cluster needs: the pause image and cluster DNS."""
    for name, archive in (("localhost/pause:1", _pause()), ("localhost/coredns:1", _coredns())):
        _import(node, name, archive)


def load_metrics_server(node: Node) -> None:
    """For the tests that scale by resource metrics."""
    _import(node, "localhost/metrics-server:1", _metrics_server())


def load_project(node: Node) -> None:
    """Sidecar, operator and the tests' model server."""
    for name, archive in _archives():
        _import(node, name, archive)
        size = _size(archive)
        say(f"{name}: {size.packed / 1e6:.0f} MB as an archive, {size.unpacked / 1e6:.0f} MB unpacked")


def sizes() -> str:
    """A table of the project's images, built if need be: what a node pulls, and what it then holds."""
    lines = ["| image | pulled | unpacked | the base's share |", "|---|---|---|---|"]
    for name, archive in _archives():
        size = _size(archive)
        base = " / ".join(f"{each / 1e6:.0f}" for each in _first_layer(archive))
        packed, unpacked = size.packed / 1e6, size.unpacked / 1e6
        lines.append(f"| `{_short(name)}` | {packed:.0f} MB | {unpacked:.0f} MB | {base} MB |")
    return "\n".join(lines)


def _archives() -> list[tuple[str, Path]]:
    return [
        (SIDECAR, _project(SIDECAR, "sidecar/Dockerfile", "", ("sidecar",))),
        (OPERATOR, _project(OPERATOR, "operator/Dockerfile", "[operator]", ("sidecar", "operator"))),
        (MODEL, _model()),
    ]


def _import(node: Node, name: str, archive: Path) -> None:
    node.ctr("image", "import", "--base-name", name.rpartition(":")[0], archive)
    if name not in node.ctr("image", "ls", "-q").split():
        raise ClusterError(f"{archive} holds no image {name}")


# ---- images from a single static program ----


def _pause() -> Path:
    source = Path(__file__).with_name("pause") / "main.go"
    return _static("localhost/pause:1", _digest([source]), lambda to: _go_build(source, to))


def _coredns() -> Path:
    return _installed("coredns", "github.com/coredns/coredns", COREDNS_VERSION)


def _metrics_server() -> Path:
    module = "sigs.k8s.io/metrics-server/cmd/metrics-server"
    return _installed("metrics-server", module, METRICS_SERVER_VERSION)


def _installed(name: str, package: str, version: str) -> Path:
    """A program of another's Go module."""

    def build(to: Path) -> None:
        with tempfile.TemporaryDirectory() as folder, step(f"building {name} {version} (minutes, once)"):
            environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": folder}
            go(["install", "-trimpath", "-ldflags", "-s -w", f"{package}@{version}"], environment)
            shutil.copy(Path(folder, name), to)

    return _static(f"localhost/{name}:1", version, build)


def _go_build(source: Path, to: Path) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    go(["build", "-trimpath", "-ldflags", "-s -w", "-o", str(to), str(source)], environment)


def _static(name: str, digest: str, build: Callable[[Path], None]) -> Path:
    program = _short(name)

    def make(archive: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, program)
            build(path)
            path.chmod(0o755)
            container = _buildah("from", "scratch").strip()
            _buildah("copy", container, path, f"/{program}")
            _buildah("config", "--entrypoint", f'["/{program}"]', "--user", "65532:65532", container)
            _commit(container, name, archive)

    return _once(program, digest, make)


def _once(program: str, digest: str, make: Callable[[Path], None]) -> Path:
    """The archive of an image: the one that is there, else made, by one at a time."""
    archive = cache() / "images" / f"{program}-{digest}.tar"
    if archive.exists():
        return archive
    with locked(cache() / "images.lock"):
        if not archive.exists():
            archive.parent.mkdir(exist_ok=True)
            make(archive)
            _size_file(archive).write_text(str(_unpacked(archive)))
    return archive


def _size_file(archive: Path) -> Path:
    """Holds an image's unpacked size in bytes: inflating it takes seconds."""
    return archive.with_suffix(".size")


def _short(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[0]


# ---- images with Python ----


def _base() -> str:
    """Debian with Python and nft, in buildah's own storage."""
    if _BASE not in _buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
        with tempfile.TemporaryDirectory(dir=cache()) as folder:
            root = Path(folder, "root")
            with step("a local base image: Debian with Python (a minute, once)"):
                run(
                    "debootstrap", "--variant=minbase", "--include=nftables,python3,python3-venv",
                    _SUITE, root, "http://deb.debian.org/debian",
                )  # fmt: skip
                for each in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
                    shutil.rmtree(root / each, ignore_errors=True)
                container = _buildah("from", "scratch").strip()
                _buildah("add", container, root, "/")
                _buildah("commit", "--rm", container, _BASE)
    return _BASE


def _project(name: str, dockerfile: str, extra: str, sources: Iterable[str]) -> Path:
    inputs = [REPO / each for each in ("pyproject.toml", "constraints.txt", "README.md", dockerfile)]
    for folder in sources:
        inputs += sorted((REPO / folder).rglob("*.py"))

    def make(archive: Path) -> None:
        base = _base()
        with step(f"image {name}"), tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            for each in ("constraints.txt", "pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(REPO / each, context / each)
            for each in ("sidecar", "operator"):
                shutil.copytree(REPO / each, context / each, ignore=shutil.ignore_patterns("__pycache__"))
            _copy_dependencies(extra, context / "wheels")
            _wheels(context / "wheels", "--no-deps", str(REPO))
            _build_image(context, context / dockerfile, name, base, archive)

    return _once(_short(name), _digest(inputs), make)


def _model() -> Path:
    source = REPO / "e2e" / "model"
    files = sorted(each for each in source.iterdir() if each.is_file())

    def make(archive: Path) -> None:
        base = _base()
        with step("the tests' model server"), tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            for each in files:
                shutil.copy(each, context)
            _wheels(context / "wheels", "-r", str(context / "requirements.txt"))
            _build_image(context, context / "Dockerfile", MODEL, base, archive)

    return _once("model", _digest(files), make)


def _copy_dependencies(extra: str, to: Path) -> None:
    """Wheels of what the project needs: gathered once for a pyproject.toml and its constraints."""
    digest = _digest([REPO / "pyproject.toml", REPO / "constraints.txt"])
    kept = cache() / "wheels" / f"{extra.strip('[]') or 'sidecar'}-{digest}"
    if not kept.exists():
        with step("wheels of the dependencies"):
            part = kept.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            _wheels(part, f"{REPO}{extra}")
            for own in part.glob("driftline-*.whl"):
                own.unlink()
            part.replace(kept)
    shutil.copytree(kept, to)


def _wheels(to: Path, *what: str) -> None:
    """Of requirements, each as pip takes it."""
    constraints = ("--constraint", REPO / "constraints.txt")
    run(sys.executable, "-m", "pip", "wheel", "-q", *constraints, "--wheel-dir", to, *what)


def _build_image(context: Path, dockerfile: Path, name: str, base: str, archive: Path) -> None:
    _buildah(
        "bud", "--pull=never", "--network=none", "--build-arg", f"BASE={base}", "-f", dockerfile,
        "-t", name, context,
    )  # fmt: skip
    _push(name, archive)


def _commit(container: str, name: str, archive: Path) -> None:
    _buildah("commit", "--rm", container, name)
    _push(name, archive)


def _push(name: str, archive: Path) -> None:
    part = archive.with_suffix(".part")
    part.unlink(missing_ok=True)
    _buildah("push", name, f"oci-archive:{part}:{name}")
    part.replace(archive)


def _buildah(*arguments: str | Path) -> str:
    require()
    storage = cache() / "buildah"
    command = ("buildah", "--root", storage / "root", "--runroot", storage / "run")
    driver = ("--storage-driver", "vfs")
    return run(*command, *driver, *arguments, quiet=arguments[0] in ("from", "images"))


def _digest(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


class _Size(NamedTuple):
    """Bytes: compressed, and inflated."""

    packed: int
    unpacked: int


def _size(archive: Path) -> _Size:
    kept = _size_file(archive)
    unpacked = int(kept.read_text()) if kept.exists() else _unpacked(archive)
    return _Size(archive.stat().st_size, unpacked)


def _unpacked(archive: Path) -> int:
    """Bytes of the layers, inflated."""
    with tarfile.open(archive) as tar:
        return sum(_inflated(tar, each["digest"]) for each in _layers(tar))


def _first_layer(archive: Path) -> _Size:
    """What the base gives; images of one base share it."""
    with tarfile.open(archive) as tar:
        first = _layers(tar)[0]
        return _Size(int(first["size"]), _inflated(tar, first["digest"]))


def _layers(tar: tarfile.TarFile) -> list[dict[str, Any]]:
    """Of an OCI archive, as its manifest lists them."""
    (manifest,) = _json(tar, "index.json")["manifests"]
    found: list[dict[str, Any]] = _json(tar, _blob(manifest["digest"]))["layers"]
    return found


def _json(tar: tarfile.TarFile, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.load(_file(tar, name))
    return found


def _file(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    assert file is not None, f"{name} is a file of every OCI archive"
    return file


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _inflated(tar: tarfile.TarFile, digest: str) -> int:
    with gzip.open(_file(tar, _blob(digest))) as layer:
        return sum(len(part) for part in iter(lambda: layer.read(1 << 20), b""))
