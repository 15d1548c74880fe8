"""What a program with OpenRouter's own SDK does: the argument names it. Prints what it got."""

import json
import os
import sys

from openrouter import OpenRouter, errors

QUESTION = [{"role": "user", "content": "What is a ledger?"}]
MODEL = os.environ["MODEL"]
client = OpenRouter(api_key=os.environ["API_KEY"], server_url=os.environ["BASE_URL"])


def create() -> dict[str, object]:
    answer = client.chat.send(model=MODEL, messages=QUESTION)
    return {"id": answer.id, "text": answer.choices[0].message.content, "tokens": answer.usage.completion_tokens}


def stream() -> dict[str, object]:
    text, tokens = "", None
    with client.chat.send(model=MODEL, messages=QUESTION, stream=True) as events:
        for event in events:
            text += (event.choices[0].delta.content or "") if event.choices else ""
            tokens = event.usage.completion_tokens if event.usage else tokens
    return {"text": text, "tokens": tokens}


def models() -> dict[str, object]:
    return {"models": [model.id for model in client.models.list().result.data]}


programs = {"create": create, "stream": stream, "models": models}
try:
    result = programs[sys.argv[1]]()
except errors.OpenRouterError as error:
    result = {"error": {"name": type(error).__name__, "status": error.status_code, "body": error.body}}
print(json.dumps(result))
