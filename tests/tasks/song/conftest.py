from tests.tasks.song.library import library

__all__ = ["library"]
