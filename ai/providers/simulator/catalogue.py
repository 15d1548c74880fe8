"""The models that the simulator sells. Prices are US dollars a token, as text, in OpenRouter's shape."""

from decimal import Decimal
from typing import Any

CREATED_AT = 1_761_955_200
IMAGE_TOKENS = 1290


def _model(
    slug: str,
    name: str,
    prompt: str,
    completion: str,
    *,
    outputs: tuple[str, ...] = ("text",),
    image_output: str = "0",
    context_length: int = 128_000,
    max_completion_tokens: int = 16_384,
) -> dict[str, Any]:
    inputs = ["text", "image"]
    return {
        "id": slug,
        "canonical_slug": slug,
        "name": name,
        "created": CREATED_AT,
        "description": f"{name}, simulated: its answers cost what they would cost, and nobody pays.",
        "context_length": context_length,
        "architecture": {
            "input_modalities": inputs,
            "output_modalities": list(outputs),
            "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {
            "prompt": prompt,
            "completion": completion,
            "request": "0",
            "image": "0",
            "image_output": image_output,
            "web_search": "0",
            "internal_reasoning": "0",
        },
        "top_provider": {
            "context_length": context_length,
            "max_completion_tokens": max_completion_tokens,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": ["max_tokens", "temperature", "top_p", "stop", "response_format"],
        "expiration_date": None,
        "default_parameters": None,
        "supported_voices": None,
        "links": {"details": f"/api/v1/models/{slug}/endpoints"},
    }


MODELS = [
    _model("openai/gpt-4o-mini", "OpenAI: GPT-4o-mini", "0.00000015", "0.0000006"),
    _model("openai/gpt-4o", "OpenAI: GPT-4o", "0.0000025", "0.00001"),
    _model(
        "anthropic/claude-sonnet-4.5",
        "Anthropic: Claude Sonnet 4.5",
        "0.000003",
        "0.000015",
        context_length=1_000_000,
        max_completion_tokens=64_000,
    ),
    _model("google/gemini-2.5-flash", "Google: Gemini 2.5 Flash", "0.0000003", "0.0000025", context_length=1_048_576),
    _model("mistralai/mistral-small-3.2-24b-instruct", "Mistral: Mistral Small 3.2 24B", "0.00000006", "0.00000018"),
    _model("deepseek/deepseek-chat-v3.1:free", "DeepSeek: DeepSeek V3.1 (free)", "0", "0"),
    _model(
        "google/gemini-2.5-flash-image-preview",
        "Google: Gemini 2.5 Flash Image Preview (Nano Banana)",
        "0.0000003",
        "0.0000025",
        outputs=("image", "text"),
        image_output="0.00003",
        context_length=32_768,
    ),
    _model(
        "openai/gpt-5-image-mini",
        "OpenAI: GPT-5 Image Mini",
        "0.0000025",
        "0.000002",
        outputs=("image", "text"),
        image_output="0.000008",
    ),
    _model(
        "black-forest-labs/flux.2-pro",
        "Black Forest Labs: FLUX.2 Pro",
        "0",
        "0",
        outputs=("image",),
        image_output="0.00002",
        context_length=46_864,
    ),
    _model(
        "openai/text-embedding-3-small",
        "OpenAI: Text Embedding 3 Small",
        "0.00000002",
        "0",
        outputs=("embeddings",),
        context_length=8_192,
        max_completion_tokens=8_192,
    ),
]
BY_ID = {model["id"]: model for model in MODELS}

# At these an answer is billed whole, also when the client hangs up on it.
BILLED_WHOLE = ("google/", "mistralai/")
#: Who runs the models, by whom they are of; of all others, the simulator itself.
UPSTREAMS = {"google": "Google AI Studio", "mistralai": "Mistral", "openai": "OpenAI", "anthropic": "Anthropic"}


def upstream(model: str) -> str:
    return UPSTREAMS.get(model.partition("/")[0], "Simulator")


def with_outputs(wanted: str) -> list[dict[str, Any]]:
    """
    Return the models that ``GET /models?output_modalities=`` lists.

    ``all``, or words with a comma between them; without any, the models that answer with text alone.
    """
    if wanted == "all":
        return MODELS
    if not wanted:
        return [model for model in MODELS if outputs(model["id"]) == ["text"]]
    return [model for model in MODELS if set(outputs(model["id"])) & set(wanted.split(","))]


def outputs(model: str) -> list[str]:
    modalities: list[str] = BY_ID[model]["architecture"]["output_modalities"]
    return modalities


def cost(model: str, *, prompt_tokens: int, text_tokens: int, images: int) -> Decimal:
    """Return what a generation costs, exactly."""
    price = {part: Decimal(text) for part, text in BY_ID[model]["pricing"].items()}
    return (
        prompt_tokens * price["prompt"]
        + text_tokens * price["completion"]
        + images * IMAGE_TOKENS * price["image_output"]
    )
