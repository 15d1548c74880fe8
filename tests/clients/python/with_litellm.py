"""What a program with LiteLLM's SDK does: the argument names it. Prints what it got."""

import json
import os
import sys

import litellm

litellm.telemetry = False
litellm.suppress_debug_info = True
common = {
    "model": f"openai/{os.environ['MODEL']}",
    "api_base": os.environ["BASE_URL"],
    "api_key": os.environ["API_KEY"],
    "messages": [{"role": "user", "content": "What is a ledger?"}],
    "num_retries": 0,
}


def create() -> dict[str, object]:
    answer = litellm.completion(**common)
    return {"id": answer.id, "text": answer.choices[0].message.content, "tokens": answer.usage.completion_tokens}


def stream() -> dict[str, object]:
    chunks = list(litellm.completion(**common, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return {
        "text": text,
        "tokens": next(chunk.usage.completion_tokens for chunk in reversed(chunks) if getattr(chunk, "usage", None)),
    }


programs = {"create": create, "stream": stream}
try:
    result = programs[sys.argv[1]]()
except litellm.exceptions.APIError as error:
    result = {"error": {"name": type(error).__name__, "status": error.status_code, "message": str(error)}}
print(json.dumps(result))
