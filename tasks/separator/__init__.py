"""The separator job: songs as sources, a network trained on them, its scores, and its stems."""
