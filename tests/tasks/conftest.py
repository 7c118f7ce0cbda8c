from tests.tasks.engine.toy_steps import toy

__all__ = ["toy"]
