"""What a program with LangChain's client for OpenAI's interface does: the argument names it. Prints what it got."""

import json
import os
import sys

import openai
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model=os.environ["MODEL"], base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"])


def invoke() -> dict[str, object]:
    answer = model.invoke("What is a ledger?")
    return {"id": answer.id, "text": answer.content, "tokens": answer.usage_metadata["output_tokens"]}


def stream() -> dict[str, object]:
    answer = None
    for chunk in model.stream("What is a ledger?"):
        answer = chunk if answer is None else answer + chunk
    return {"text": answer.content, "tokens": answer.usage_metadata["output_tokens"]}


def tools() -> dict[str, object]:
    weather = {
        "name": "weather",
        "description": "What the weather is like.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    answer = model.bind_tools([weather]).invoke("What is a ledger?")
    return {"text": answer.content}


programs = {"invoke": invoke, "stream": stream, "tools": tools}
try:
    result = programs[sys.argv[1]]()
except openai.APIStatusError as error:
    result = {"error": {"name": type(error).__name__, "status": error.status_code, "body": error.body}}
print(json.dumps(result))
