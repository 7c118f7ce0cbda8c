"""A request for a chat completion, and the key of its reply."""

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request; all of it but `max_tokens` is the key of its reply in the cache."""

    model: str
    system: str
    user: str
    max_tokens: int
    temperature: float | None = None

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation as the API takes it."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.user},
        ]

    @property
    def key(self) -> str:
        """Digest of model, temperature and messages."""
        parts = json.dumps([self.model, self.temperature, self.messages])
        return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()
