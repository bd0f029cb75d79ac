"""A real Kubernetes for the tests, built from the published modules and run by hand.

`control_plane.running()` gives an API server with etcd and controller-manager in a few seconds, for tests
that need no pods to run. Binaries are built once and kept outside the checkout (`build`).
"""
