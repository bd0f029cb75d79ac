"""The admission webhook: asked about each monitored pod that is created, it answers from what it has watched.

monitors   the monitors of the cluster, from the watch cache, oldest first
review     an AdmissionReview in, an answer out; whatever goes wrong admits the pod. Pure
server     TLS, paths, limits, series
"""
