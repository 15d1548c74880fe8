"""What a program with Anthropic's client does: the argument names it. Prints what it got."""

import json
import os
import sys

import anthropic

MODEL = os.environ["MODEL"]
QUESTION = [{"role": "user", "content": "What is a ledger?"}]
WEATHER = {
    "name": "weather",
    "description": "What the weather is like.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
client = anthropic.Anthropic(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"])


def create() -> dict[str, object]:
    message = client.messages.create(model=MODEL, max_tokens=200, messages=QUESTION)
    return {"id": message.id, "text": message.content[0].text, "tokens": message.usage.output_tokens}


def stream() -> dict[str, object]:
    with client.messages.stream(model=MODEL, max_tokens=200, messages=QUESTION) as events:
        text = "".join(events.text_stream)
        message = events.get_final_message()
    return {"id": message.id, "text": text, "whole": message.content[0].text, "tokens": message.usage.output_tokens}


def tools() -> dict[str, object]:
    first = client.messages.create(model=MODEL, max_tokens=200, messages=QUESTION, tools=[WEATHER])
    history = [
        *QUESTION,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "call-1", "name": "weather", "input": {"city": "Rome"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call-1", "content": "Sunny"}]},
    ]
    second = client.messages.create(model=MODEL, max_tokens=200, messages=history, tools=[WEATHER])
    return {"kinds": [[block.type for block in message.content] for message in (first, second)]}


programs = {"create": create, "stream": stream, "tools": tools}
try:
    result = programs[sys.argv[1]]()
except anthropic.APIStatusError as error:
    result = {"error": {"name": type(error).__name__, "status": error.status_code, "body": error.body}}
print(json.dumps(result))
