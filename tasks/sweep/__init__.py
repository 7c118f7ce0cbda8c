"""Sweeps: what a file searches through, the runs that were tried, their table and page."""
