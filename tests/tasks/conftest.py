from tests.tasks.toy_steps import toy

__all__ = ["toy"]
