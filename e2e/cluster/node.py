"""A whole Kubernetes on one node, in a network namespace of its own: `up`, `down`, `status`.

All its files are below one run directory, all its processes are known by id and start time, the machine's own
network and settings stay as they are (what the kubelet sets is set back).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from e2e.cluster import pki, pod_networks
from e2e.cluster.build import binary
from e2e.cluster.processes import Processes, run
from e2e.cluster.report import ClusterError, say, step

NAMESPACE: Final = "driftline-e2e"
INSIDE: Final = ("nsenter", f"--net=/run/netns/{NAMESPACE}")
"""Before a command that is to run in the cluster's network."""
HOST_ADDRESS, NODE_ADDRESS = "10.200.77.1", "10.200.77.2"
DNS_ADDRESS: Final = "10.96.0.10"
SERVER: Final = f"https://{NODE_ADDRESS}:6443"
READY_SECONDS: Final = 90.0

PACKAGES: Final = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""What a node needs of Debian, by program."""

_SYSCTLS: Final = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
"""What the kubelet sets for the whole machine."""

_CLIENTS: Final = (
    ("admin", "admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", None),
    ("scheduler", "system:kube-scheduler", None),
    ("proxy", "system:kube-proxy", None),
    ("kubelet", "system:node:node1", "system:nodes"),
    ("apiserver-kubelet", "kube-apiserver", "system:masters"),
    ("front-proxy", "front-proxy-client", None),
)


def run_directory() -> Path:
    """DRIFTLINE_CLUSTER_DIR, else /run/driftline-e2e."""
    return Path(os.environ.get("DRIFTLINE_CLUSTER_DIR", "/run/driftline-e2e"))


@dataclass(frozen=True)
class Node:
    """The paths of a cluster."""

    directory: Path

    @property
    def kubeconfig(self) -> Path:
        """A cluster administrator's, of use from the machine itself."""
        return self.directory / "admin.kubeconfig"

    @property
    def socket(self) -> Path:
        """containerd's."""
        return self.directory / "containerd.sock"

    @property
    def processes(self) -> Processes:
        """The components."""
        return Processes(self.directory)

    def kubectl(self, *arguments: str, check: bool = True, stdin: bytes | None = None) -> str:
        """What kubectl says."""
        return run(
            binary(), "kubectl", f"--kubeconfig={self.kubeconfig}", *arguments, check=check, stdin=stdin
        )

    def ctr(self, *arguments: str | Path, check: bool = True) -> str:
        """What containerd's own client says, in Kubernetes' namespace."""
        return run("ctr", "--address", self.socket, "-n", "k8s.io", *arguments, check=check)


def status() -> str:
    """In a sentence."""
    node = Node(run_directory())
    if not node.directory.exists():
        return "no cluster"
    dead = [name for name in node.processes.names() if node.processes.alive(name) is None]
    if dead or not node.processes.names():
        return f"broken: {', '.join(dead) or 'no component'} not running; `up` makes it anew"
    ready = node.kubectl("get", "node", "node1", "--no-headers", check=False).split()[1:2]
    return f"running, the node is {ready[0] if ready else 'unknown'}; KUBECONFIG={node.kubeconfig}"


def require() -> None:
    """Install what Debian has and the machine lacks. Raises ClusterError."""
    if os.geteuid() != 0:
        raise ClusterError(
            "a node needs root (network namespaces, containers): or name a cluster by KUBECONFIG"
        )
    lacking = sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})
    if lacking:
        with step(f"installing {', '.join(lacking)}"):
            run("apt-get", "update", "-q")
            run("apt-get", "install", "-y", "-q", "--no-install-recommends", *lacking)


def up() -> Node:
    """A running cluster with a Ready node: the one that is there, or a new one."""
    node = Node(run_directory())
    if node.directory.exists():
        if status().startswith("running, the node is Ready"):
            say(f"the cluster runs already; KUBECONFIG={node.kubeconfig}")
            return node
        down()
    require()
    program = binary()
    node.directory.mkdir(parents=True)
    try:
        _start(node, program)
    except BaseException:
        for name in node.processes.names():
            if node.processes.alive(name) is None:
                say(f"{name} has ended; its log ends with:\n{node.processes.log(name)}")
        raise
    return node


def _start(node: Node, program: Path) -> None:
    with step("the network namespace"):
        _network()
        saved = {name: Path("/proc/sys", name).read_text().strip() for name in _SYSCTLS}
        (node.directory / "sysctls.json").write_text(json.dumps(saved))
    _prepare(node)
    processes = node.processes
    with step("etcd, API server, controller-manager, scheduler"):
        processes.start("etcd", [*INSIDE, program, "etcd", *_etcd(node)])
        start_api_server(node)
        for name, more in (
            ("controller-manager", _controller_manager(node)),
            ("scheduler", ["--leader-elect=false"]),
        ):
            kubeconfig = f"--kubeconfig={node.directory / name}.kubeconfig"
            processes.start(f"kube-{name}", [*INSIDE, program, f"kube-{name}", kubeconfig, *more])
    with step("containerd"):
        processes.start("containerd", [*INSIDE, "containerd", "--config", node.directory / "containerd.toml"])
        _await("containerd", lambda: node.socket.exists() and "ctr" not in node.ctr("version", check=False))
        from e2e.cluster import images

        images.load_basic(node)
    with step("kubelet and kube-proxy"):
        kubelet = node.directory / "kubelet"
        processes.start(
            "kubelet",
            [
                *INSIDE, program, "kubelet", f"--config={node.directory / 'kubelet.yaml'}",
                f"--kubeconfig={node.directory / 'kubelet.kubeconfig'}", f"--root-dir={kubelet}",
                f"--node-ip={NODE_ADDRESS}", "--hostname-override=node1", f"--cert-dir={kubelet / 'pki'}",
            ],
        )  # fmt: skip
        processes.start(
            "kube-proxy", [*INSIDE, program, "kube-proxy", f"--config={node.directory / 'proxy.yaml'}"]
        )
        _await("the node", lambda: status().startswith("running, the node is Ready"))
    with step("cluster DNS"):
        node.kubectl("apply", "-f", "-", stdin=_dns().encode())


def start_api_server(node: Node) -> None:
    """With etcd there. After `node.processes.end("kube-apiserver")` it is a restart."""
    node.processes.start("kube-apiserver", [*INSIDE, binary(), "kube-apiserver", *_api_server(node)])
    _await("the API server", lambda: node.kubectl("get", "--raw=/readyz", check=False) == "ok")


def add_metrics_server(node: Node) -> None:
    """The resource metrics API, which only some tests need: metrics-server behind the API server."""
    from e2e.cluster import images

    images.load_metrics_server(node)
    node.kubectl("apply", "-f", "-", stdin=Path(__file__).with_name("metrics-server.yaml").read_bytes())
    usage = "--raw=/apis/metrics.k8s.io/v1beta1/nodes/node1"
    with step("metrics-server"):
        _await("metrics-server", lambda: '"usage"' in node.kubectl("get", usage, check=False))


def down() -> None:
    """End everything that `up` started, whatever has become of it; nothing of it is left."""
    node = Node(run_directory())
    if not node.directory.exists():
        return
    with step("ending the cluster"):
        processes = node.processes
        if processes.alive("kube-apiserver") and processes.alive("kubelet"):
            node.kubectl("delete", "mutatingwebhookconfigurations", "--all", "--wait=false", check=False)
        for name in ("kubelet", "kube-proxy"):
            processes.end(name)
        if processes.alive("containerd"):
            _end_containers(node)
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            processes.end(name)
        processes.end("containerd", signal.SIGTERM)
        _end_shims(node)
        _unmount(node.directory)
        _remove_cgroups()
        pod_networks.remove(NAMESPACE)
        run("ip", "link", "del", "dl-e2e-host", check=False)
        run("ip", "netns", "del", NAMESPACE, check=False)
        with contextlib.suppress(OSError, ValueError):
            for name, value in json.loads((node.directory / "sysctls.json").read_text()).items():
                Path("/proc/sys", name).write_text(value)
        shutil.rmtree(node.directory, ignore_errors=True)
    if node.directory.exists():
        raise ClusterError(f"{node.directory} can't be removed whole: look for mounts below it")


def _network() -> None:
    run("ip", "netns", "del", NAMESPACE, check=False)
    run("ip", "link", "del", "dl-e2e-host", check=False)
    run("ip", "netns", "add", NAMESPACE)
    run("ip", "link", "add", "dl-e2e-host", "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE)
    run("ip", "addr", "add", f"{HOST_ADDRESS}/24", "dev", "dl-e2e-host")
    run("ip", "link", "set", "dl-e2e-host", "up")
    run(*INSIDE, "ip", "addr", "add", f"{NODE_ADDRESS}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        run(*INSIDE, "ip", "link", "set", device, "up")
    run(*INSIDE, "ip", "route", "add", "default", "via", HOST_ADDRESS)
    run(*INSIDE, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def _prepare(node: Node) -> None:
    """Certificates, kubeconfigs and configuration files."""
    directory = node.directory
    authority = pki.authority(directory)
    authority.server("apiserver", NODE_ADDRESS)
    authority.server("kubelet-server", NODE_ADDRESS)
    pki.service_account_keys(directory)
    for name, user, group in _CLIENTS:
        authority.client(name, user, group)
        authority.kubeconfig(name, SERVER)
    (directory / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    documents = {
        "kubelet.yaml": _kubelet(directory),
        "proxy.yaml": _proxy(directory),
    }
    for name, document in documents.items():
        (directory / name).write_text(yaml.safe_dump(document))
    network = directory / "cni"
    network.mkdir()
    (network / "10-bridge.conflist").write_text(json.dumps(_cni(directory)))
    (directory / "containerd.toml").write_text(_containerd(directory))


def _etcd(node: Node) -> list[str]:
    return [
        f"--data-dir={node.directory / 'etcd'}",
        "--unsafe-no-fsync",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=default=http://127.0.0.1:2380",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
    ]


def _api_server(node: Node) -> list[str]:
    at = node.directory
    return [
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        f"--advertise-address={NODE_ADDRESS}",
        f"--tls-cert-file={at / 'apiserver.crt'}",
        f"--tls-private-key-file={at / 'apiserver.key'}",
        f"--client-ca-file={at / 'ca.crt'}",
        f"--kubelet-client-certificate={at / 'apiserver-kubelet.crt'}",
        f"--kubelet-client-key={at / 'apiserver-kubelet.key'}",
        f"--kubelet-certificate-authority={at / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={at / 'sa.pub'}",
        f"--service-account-signing-key-file={at / 'sa.key'}",
        # The aggregation layer: how an API server behind this one knows who asks.
        f"--requestheader-client-ca-file={at / 'ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={at / 'front-proxy.crt'}",
        f"--proxy-client-key-file={at / 'front-proxy.key'}",
        "--enable-aggregator-routing",
    ]


def _controller_manager(node: Node) -> list[str]:
    return [
        f"--service-account-private-key-file={node.directory / 'sa.key'}",
        f"--root-ca-file={node.directory / 'ca.crt'}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--controllers=*,-nodeipam,-cloud-node-lifecycle",
        f"--cert-dir={node.directory / 'controller-manager-certificates'}",
        # A test doesn't wait five minutes until an autoscaler believes what a new pod uses.
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=5s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
    ]


def _kubelet(directory: Path) -> dict[str, object]:
    none = dict.fromkeys(("memory.available", "nodefs.available", "nodefs.inodesFree"), "0%")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(directory / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": True,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{directory / 'containerd.sock'}",
        "enforceNodeAllocatable": [],
        "evictionHard": {**none, "imagefs.available": "0%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "localStorageCapacityIsolation": False,
        "podLogsDir": str(directory / "pod-logs"),
        "resolvConf": str(directory / "resolv.conf"),
        "syncFrequency": "10s",
        "tlsCertFile": str(directory / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(directory / "kubelet-server.key"),
        "volumePluginDir": str(directory / "volume-plugins"),
    }


def _proxy(directory: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(directory / "proxy.kubeconfig")},
        "hostnameOverride": "node1",
        "mode": "iptables",
        "clusterCIDR": "10.244.0.0/24",
        "conntrack": {"maxPerCore": 0, "min": 0},
        "iptables": {"localhostNodePorts": False},
    }


def _cni(directory: Path) -> dict[str, object]:
    return {
        "cniVersion": "1.0.0",
        "name": NAMESPACE,
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": "10.244.0.0/24"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": str(directory / "cni-state"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _containerd(directory: Path) -> str:
    return f"""\
version = 2
root = "{directory}/containerd"
state = "{directory}/containerd-state"
[grpc]
address = "{directory}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{directory}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def _dns() -> str:
    path = Path(__file__).with_name("dns.yaml")
    return path.read_text().replace("DNS_ADDRESS", DNS_ADDRESS)


def _await(what: str, holds: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ClusterError):
            if holds():
                return
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} is not ready after {seconds:.0f} s; logs are in {run_directory()}")
        time.sleep(0.2)


def _end_containers(node: Node) -> None:
    with contextlib.suppress(ClusterError):
        for line in node.ctr("task", "ls", "-q").split():
            node.ctr("task", "kill", "-s", "SIGKILL", line, check=False)
        time.sleep(0.5)
        for line in node.ctr("task", "ls", "-q").split():
            node.ctr("task", "rm", "-f", line, check=False)
        for line in node.ctr("container", "ls", "-q").split():
            node.ctr("container", "rm", line, check=False)


def _end_shims(node: Node) -> None:
    """Shims outlive containerd: those that name its socket."""
    marker = str(node.socket).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and marker in words:
                os.kill(int(entry.name), signal.SIGKILL)


def _unmount(directory: Path) -> None:
    for _ in range(3):
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        mine = [each for each in mounts if each.startswith(f"{directory}/")]
        if not mine:
            return
        for each in sorted(mine, reverse=True):
            run("umount", "-l", each, check=False)


def _remove_cgroups() -> None:
    for hierarchy in Path("/sys/fs/cgroup").iterdir():
        top = hierarchy / "kubepods"
        if not top.is_dir():
            continue
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
