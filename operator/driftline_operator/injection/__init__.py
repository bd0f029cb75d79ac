"""What becomes of a pod when it is created: a decision with its reasons, and the patch. Pure.

pod         reads a pod's JSON: containers, ports, quality of service
takeover    how the sidecar comes before one port: PortRename, PortSwap, Redirect
sidecars    the two native sidecar containers, their volumes, and the init container of Redirect
amounts     quantities as numbers, and what a pod asks for in all
told        what the controller has decided before, in the path of a webhook entry
decide      all of it together: Inject or Skip, each with a reason
patch       the difference of two documents as a JSON Patch
"""
