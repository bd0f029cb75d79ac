"""The webhook's certificates: made, renewed and rotated so that every client always trusts every server."""
