"""What `llm` does with a model of its configuration: the argument says whether it streams. Prints what it got."""

import json
import os
import sys
from pathlib import Path

settings = Path(os.environ["LLM_USER_PATH"])
(settings / "keys.json").write_text(json.dumps({"prepaid": os.environ["API_KEY"]}))
(settings / "extra-openai-models.yaml").write_text(
    f"- model_id: prepaid\n  model_name: {os.environ['MODEL']}\n"
    f"  api_base: {os.environ['BASE_URL']}\n  api_key_name: prepaid\n"
)

import llm  # noqa: E402  (it reads its configuration when it is imported)

model = llm.get_model("prepaid")
try:
    answer = model.prompt("What is a ledger?", stream=sys.argv[1] == "stream")
    result = {"text": answer.text(), "tokens": answer.usage().output}
except Exception as error:  # whatever its libraries raise
    result = {"error": {"name": type(error).__name__, "status": getattr(error, "status_code", None)}}
print(json.dumps(result))
