"""OpenAI's completions of old, which go on from a text."""

from typing import Any

from ai.protocols.base import Wanted
from ai.protocols.fields import count_of, is_streamed, model_of, prompts_of, with_usage
from ai.protocols.openai import MOST_CHOICES, OpenAI
from billing.catalogue import Feature


class Completions(OpenAI):
    """Of a list of prompts each is completed ``n`` times."""

    def read(self, payload: dict[str, Any]) -> Wanted:
        model = model_of(payload)
        prompts = prompts_of(payload, "prompt")
        streamed = is_streamed(payload)
        return Wanted(
            feature=Feature.AI_TEXT_CHAT,
            quantity=prompts * count_of(payload, "n", most=MOST_CHOICES),
            model=model,
            streamed=streamed,
            path="completions",
            payload=with_usage(payload) if streamed else payload,
            limit_fields=("max_tokens",),
            prompts=prompts,
        )
