"""Tiny real models: the published architectures with a few thousand seeded parameters.

They are written in each library's own format and loaded by the same code as the
published weights. What they compute means nothing; that it is computed proves the path.
"""
