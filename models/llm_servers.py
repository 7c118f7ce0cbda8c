"""What a server of OpenAI's API takes of a request: they differ, and say so when they refuse.

LM Studio knows no JSON mode, OpenAI's reasoning models no temperature, older servers only
``max_tokens``, and some chat templates no system message. What a server has refused is left out of
all further requests of the process.
"""

import re
from dataclasses import dataclass
from typing import Any

from models.llm_request import ChatRequest

_JSON_MODE = re.compile(
    r"response[_ ]?format|json[_ ](?:object|schema|mode)|guided|grammar|structured output",
    re.IGNORECASE,
)
_NOT_KNOWN = re.compile(
    r"not (?:support|permit|allow|recogni[sz]|known|available|valid for|compatible)|n't support"
    r"|unsupported|unrecogni[sz]ed|unknown|unexpected|extra (?:field|input)|deprecated|only the "
    r"default|instead|invalid (?:argument|parameter)",
    re.IGNORECASE,
)
_SYSTEM_ROLE = re.compile(r"(?:system|developer)['\"` ]*(?:role|message|prompt)", re.IGNORECASE)


@dataclass
class Dialect:
    """Which options a server takes for a model."""

    has_json_mode: bool = True
    has_temperature: bool = True
    has_system_role: bool = True
    tokens_option: str = "max_completion_tokens"

    def options(self, request: "ChatRequest") -> dict[str, Any]:
        """Return the arguments of a request, as the client takes them."""
        messages = request.messages
        if not self.has_system_role:
            messages = [{"role": "user", "content": f"{request.system}\n\n{request.user}"}]
        options: dict[str, Any] = {
            "model": request.model,
            "messages": messages,
            self.tokens_option: request.max_tokens,
        }
        if self.has_json_mode:
            options["response_format"] = {"type": "json_object"}
        if self.has_temperature and request.temperature is not None:
            options["temperature"] = request.temperature
        return options

    def learn(self, options: dict[str, Any], said: str) -> bool:
        """Note what a server has refused of a request; return whether to ask it again.

        Parameters
        ----------
        options
            Of the request: another one may have taught the same in the meantime.
        said
            What the server says of its refusal.
        """
        not_known = bool(_NOT_KNOWN.search(said))
        if "response_format" in options and _JSON_MODE.search(said):
            self.has_json_mode = False
        elif "temperature" in options and "temperature" in said.lower() and not_known:
            self.has_temperature = False
        elif "max_completion_tokens" in options and "max_completion_tokens" in said and not_known:
            self.tokens_option = "max_tokens"
        elif len(options["messages"]) > 1 and _SYSTEM_ROLE.search(said) and not_known:
            self.has_system_role = False
        else:
            return False
        return True


_DIALECTS: dict[tuple[str, str], Dialect] = {}


def dialect_of(address: str, model: str) -> Dialect:
    """Return the one dialect that this process knows of a server's model."""
    return _DIALECTS.setdefault((address, model), Dialect())
