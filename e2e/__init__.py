"""End-to-end tests on a real Kubernetes, and the cluster they run on."""
