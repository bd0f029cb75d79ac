"""The proxies that Driftline's relay is measured against, each configured for one core."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

BENCH_ENVOY = Path(".bench/venv/bin/envoy")


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy: how it is called in the tables, how it is started, and its port on the loopback address."""

    name: str
    command: tuple[str, ...]
    port: int


NGINX = """\
worker_processes 1;
daemon off;
pid {directory}/nginx-{name}.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_buffer_size 2m;
    client_body_temp_path {directory}/body-{name};
    proxy_temp_path {directory}/proxy-{name};
    fastcgi_temp_path {directory}/fastcgi-{name};
    uwsgi_temp_path {directory}/uwsgi-{name};
    scgi_temp_path {directory}/scgi-{name};
    keepalive_requests 1000000000;
    upstream model {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        {locations}
    }}
}}
"""
PROXY_PASS = """proxy_pass http://model{path}; proxy_http_version 1.1; proxy_set_header Connection "";"""


def nginx(name: str, directory: Path, port: int, upstream: int, mirrored: bool) -> Peer:
    """Nginx with `proxy_pass`, and with every request sent a second time by `mirror` when `mirrored`."""
    locations = f"location / {{ {'mirror /mirrored;' if mirrored else ''} {PROXY_PASS.format(path='')} }}"
    if mirrored:
        mirror = PROXY_PASS.format(path="$request_uri")
        locations += f"\n        location = /mirrored {{ internal; {mirror} }}"
    file = directory / f"{name.replace(' ', '-')}.conf"
    file.write_text(
        NGINX.format(directory=directory, name=file.stem, port=port, upstream=upstream, locations=locations)
    )
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") or "nginx"
    return Peer(name, (program, "-p", str(directory), "-c", str(file)), port)


NGINX_BACKEND = """\
worker_processes 1;
daemon off;
pid {directory}/nginx-backend.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body-backend;
    proxy_temp_path {directory}/proxy-backend;
    fastcgi_temp_path {directory}/fastcgi-backend;
    uwsgi_temp_path {directory}/uwsgi-backend;
    scgi_temp_path {directory}/scgi-backend;
    client_max_body_size 0;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            default_type application/json;
            return 200 '{body}';
        }}
    }}
}}
"""


def nginx_backend(directory: Path, port: int, body: str) -> Peer:
    """A model server that costs the shared core least; it answers before a long body has come whole."""
    file = directory / "backend.conf"
    file.write_text(NGINX_BACKEND.format(directory=directory, port=port, body=body))
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") or "nginx"
    return Peer("backend", (program, "-p", str(directory), "-c", str(file)), port)


EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"
ENVOY = """\
static_resources:
  listeners:
  - name: inbound
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {extensions}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: inbound
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: model
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                route: {{cluster: model, timeout: 60s{mirror}}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": {extensions}.http.router.v3.Router
  clusters:
  - name: model
    type: STATIC
    circuit_breakers:
      thresholds: [{{max_connections: 4096, max_pending_requests: 4096, max_requests: 4096}}]
    load_assignment:
      cluster_name: model
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
"""


def envoy(name: str, directory: Path, port: int, upstream: int, mirrored: bool) -> Peer:
    """Envoy with one worker thread, and with every request sent a second time when `mirrored`."""
    mirror = ", request_mirror_policies: [{cluster: model}]" if mirrored else ""
    file = directory / f"{name.replace(' ', '-')}.yaml"
    file.write_text(ENVOY.format(port=port, upstream=upstream, mirror=mirror, extensions=EXTENSIONS))
    options = ("--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id")
    return Peer(name, (str(BENCH_ENVOY), "-c", str(file), *options), port)
