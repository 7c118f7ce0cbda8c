"""Prefect blocks: storage, cluster, and the server of a one-command run."""
