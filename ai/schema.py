"""
The gateway's routes as OpenAPI says them.

The gateway is served outside Django, so nothing can be read off views: this table is its
documentation, and ``config.schema`` puts it into ``/api/schema``. What is accepted beyond
the named fields goes to the provider as it is, so request bodies stay open.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from billing.shelf.filters import DOLLARS, FARTHEST, LONGEST_CONTEXT, MODALITIES, MOST_AT_ONCE, SORTS

Schema = dict[str, Any]

OPENAI_ERROR = "OpenAIError"
ANTHROPIC_ERROR = "AnthropicError"
FLAT_ERROR = "ApiError"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. ``aliases`` are the same under other paths; ``answers`` maps media types to schemas."""

    method: str
    path: str
    id: str
    summary: str
    description: str
    answers: Schema
    error: str
    failures: tuple[int, ...]
    aliases: tuple[str, ...] = ()
    body: Schema | None = None
    example: Any = None
    answer_example: Any = None
    parameters: list[Schema] = field(default_factory=list)
    charges: bool = False


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(
    properties: Schema,
    *,
    required: tuple[str, ...] = (),
    description: str = "",
    is_closed: bool = False,
    is_open: bool = False,
) -> Schema:
    """``is_open`` is said where there are further fields: generators take the named ones for all that there are."""
    schema: Schema = {"type": "object", "properties": properties}
    if is_closed or is_open:
        schema["additionalProperties"] = is_open
    if required:
        schema["required"] = list(required)
    if description:
        schema["description"] = description
    return schema


def _chunk(kind: str, **properties: Schema) -> Schema:
    return _object({"type": {"const": kind}, **properties}, required=("type", *properties))


TEXT: Schema = {"type": "string"}
MODEL: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "description": "As `GET /v1/models` names it.",
    "examples": ["openai/gpt-4o-mini"],
}
COUNT: Schema = {"type": "integer", "minimum": 0}
PROMPTS: Schema = {"type": ["string", "array"], "minLength": 1, "minItems": 1, "maxItems": 2048, "items": {}}

COMPONENTS: Schema = {
    OPENAI_ERROR: _object(
        {
            "error": _object(
                {
                    "message": {"type": "string", "description": "What happened and what to do, for people."},
                    "type": {"type": "string", "examples": ["invalid_request_error", "insufficient_quota"]},
                    "param": {"type": ["string", "null"], "description": "The field that is wrong."},
                    "code": {"type": ["string", "null"], "description": "Stable, for programs: see docs/api.md."},
                    "required": {"type": ["integer", "string"], "description": "With 402: what the call needs."},
                    "available": {"type": ["integer", "string"], "description": "With 402: what can be spent."},
                },
                required=("message", "type", "param", "code"),
                is_open=True,
            )
        },
        required=("error",),
        description="An error as OpenAI's clients read it.",
    ),
    ANTHROPIC_ERROR: _object(
        {
            "type": {"const": "error"},
            "error": _object(
                {
                    "type": {"type": "string", "examples": ["invalid_request_error", "billing_error"]},
                    "message": {"type": "string", "description": "What happened and what to do, for people."},
                    "code": {"type": "string", "description": "Stable, for programs: see docs/api.md."},
                },
                required=("type", "message", "code"),
            ),
            "request_id": TEXT,
        },
        required=("type", "error", "request_id"),
        description="An error as Anthropic's clients read it.",
    ),
    "ChatMessage": _object(
        {
            "role": {"type": "string", "enum": ["system", "developer", "user", "assistant", "tool"]},
            "content": {
                "description": "Text, or a list of parts.",
                "type": ["string", "array", "null"],
                "items": _object({"type": TEXT, "text": TEXT}, required=("type",), is_open=True),
            },
        },
        required=("role",),
        is_open=True,
    ),
    "ChatCompletionRequest": _object(
        {
            "model": MODEL,
            "messages": {"type": "array", "minItems": 1, "items": _ref("ChatMessage")},
            "stream": {"type": "boolean", "default": False},
            "n": {"type": "integer", "minimum": 1, "maximum": 128, "default": 1, "description": "Each is charged."},
            "max_tokens": {"type": "integer", "minimum": 1},
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        },
        required=("model", "messages"),
        description="OpenAI's request. Every other field of it is passed to the provider.",
        is_open=True,
    ),
    "TokenUsage": _object(
        {
            "prompt_tokens": COUNT,
            "completion_tokens": COUNT,
            "total_tokens": COUNT,
            "cost": {"type": "number", "description": "US dollars, where the provider says it."},
        },
        description="What the provider counted.",
        is_open=True,
    ),
    "ChatChoice": _object(
        {
            "index": COUNT,
            "message": _object(
                {
                    "role": {"const": "assistant"},
                    "content": {"type": ["string", "null"]},
                    "tool_calls": {"type": "array", "items": _object({"id": TEXT, "type": TEXT}, is_open=True)},
                },
                required=("role", "content"),
                is_open=True,
            ),
            "finish_reason": {"type": ["string", "null"], "examples": ["stop", "length", "tool_calls"]},
        },
        required=("index", "message", "finish_reason"),
    ),
    "ChatCompletion": _object(
        {
            "id": TEXT,
            "object": {"const": "chat.completion"},
            "created": {"type": "integer"},
            "model": TEXT,
            "choices": {"type": "array", "items": _ref("ChatChoice")},
            "usage": _ref("TokenUsage"),
        },
        required=("id", "model", "choices"),
        description="The provider's answer as it came.",
    ),
    "CompletionRequest": _object(
        {
            "model": MODEL,
            "prompt": {**PROMPTS, "description": "A text, tokens, or a list of either. Each is completed and charged."},
            "stream": {"type": "boolean", "default": False},
            "n": {"type": "integer", "minimum": 1, "maximum": 128, "default": 1, "description": "Each is charged."},
            "max_tokens": {"type": "integer", "minimum": 1},
        },
        required=("model", "prompt"),
        description="OpenAI's request of old. Every other field of it is passed to the provider.",
        is_open=True,
    ),
    "Completion": _object(
        {
            "id": TEXT,
            "object": {"const": "text_completion"},
            "created": {"type": "integer"},
            "model": TEXT,
            "choices": {"type": "array", "items": {"type": "object"}},
            "usage": _ref("TokenUsage"),
        },
        description="The provider's answer as it came.",
    ),
    "EmbeddingRequest": _object(
        {
            "model": MODEL,
            "input": {**PROMPTS, "description": "A text, tokens, or a list of either. Each is a unit."},
            "encoding_format": {"type": "string", "enum": ["float", "base64"]},
            "dimensions": {"type": "integer", "minimum": 1},
        },
        required=("model", "input"),
        description="OpenAI's request. Every other field of it is passed to the provider.",
        is_open=True,
    ),
    "EmbeddingList": _object(
        {
            "object": {"const": "list"},
            "model": TEXT,
            "data": {
                "type": "array",
                "items": _object({"index": COUNT, "embedding": {"type": ["array", "string"], "items": {}}}),
            },
            "usage": _object({"prompt_tokens": COUNT, "total_tokens": COUNT}),
        },
        description="The provider's answer as it came.",
    ),
    "MessagesRequest": _object(
        {
            "model": MODEL,
            "messages": {"type": "array", "minItems": 1, "items": _ref("ChatMessage")},
            "system": {"type": ["string", "array"], "items": {}},
            "max_tokens": {"type": "integer", "minimum": 1},
            "stream": {"type": "boolean", "default": False},
            "tools": {"type": "array", "items": {"type": "object"}, "description": "Your own; others have no price."},
        },
        required=("model", "messages"),
        description="Anthropic's request. Every other field of it is passed to the provider.",
        is_open=True,
    ),
    "Message": _object(
        {
            "id": TEXT,
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": TEXT,
            "content": {"type": "array", "items": {"type": "object"}},
            "stop_reason": {"type": ["string", "null"]},
            "usage": _object({"input_tokens": COUNT, "output_tokens": COUNT}),
        },
        description="The provider's answer as it came.",
    ),
    "ResponsesRequest": _object(
        {
            "model": MODEL,
            "input": {"type": ["string", "array"], "minLength": 1, "minItems": 1, "items": {}},
            "instructions": {"type": ["string", "null"]},
            "max_output_tokens": {"type": ["integer", "null"], "minimum": 1},
            "stream": {"type": "boolean", "default": False},
            "tools": {"type": "array", "items": {"type": "object"}, "description": "Your own; others have no price."},
        },
        required=("model", "input"),
        description="OpenAI's request. Every other field of it is passed to the provider.",
        is_open=True,
    ),
    "ResponsesAnswer": _object(
        {
            "id": TEXT,
            "object": {"const": "response"},
            "created_at": {"type": "number"},
            "model": TEXT,
            "status": {"type": "string", "enum": ["completed", "incomplete", "failed"]},
            "output": {"type": "array", "items": {"type": "object"}},
            "usage": {"type": ["object", "null"], "properties": {"input_tokens": COUNT, "output_tokens": COUNT}},
        },
        description="The provider's answer as it came.",
    ),
    "ImageGenerationRequest": _object(
        {
            "model": MODEL,
            "prompt": {"type": "string", "minLength": 1, "maxLength": 32_000},
            "n": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
            "size": TEXT,
            "quality": TEXT,
            "response_format": {"const": "b64_json"},
            "stream": {"type": "boolean", "default": False, "description": "Previews come before the image."},
            "input_references": {"type": "array", "items": {"type": "object"}, "description": "Images to work from."},
        },
        required=("model", "prompt"),
        description="OpenRouter's request, or OpenAI's. Every other field of it is passed to the provider.",
        is_open=True,
    ),
    "ImageGenerations": _object(
        {
            "created": {"type": "integer"},
            "data": {"type": "array", "items": _object({"b64_json": TEXT, "media_type": TEXT})},
            "usage": _ref("TokenUsage"),
        },
        description="The provider's answer as it came.",
    ),
    "ModelList": _object(
        {
            "object": {"const": "list"},
            "data": {
                "type": "array",
                "items": _object(
                    {"id": TEXT, "name": TEXT, "prices": {"type": "array", "items": {"type": "object"}}},
                    required=("id", "prices"),
                    is_open=True,
                ),
            },
            "total_count": {"type": "integer"},
            "links": _object({"next": {"type": ["string", "null"]}}, required=("next",)),
        },
        required=("data", "total_count", "links"),
    ),
    "UIMessage": _object(
        {
            "id": TEXT,
            "role": {"type": "string", "enum": ["system", "user", "assistant"]},
            "parts": {
                "type": "array",
                "items": _object(
                    {"type": TEXT, "text": TEXT, "url": TEXT, "mediaType": TEXT, "filename": TEXT},
                    required=("type",),
                    is_open=True,
                ),
                "description": "`text` and `file` parts are sent to the model; others are history and are left out.",
            },
            "content": {"type": "string", "description": "The text, where there are no parts: version 4."},
        },
        required=("role",),
    ),
    "UIChatRequest": _object(
        {
            "id": {"type": "string", "description": "The chat's id, as `useChat` sends it."},
            "messages": {"type": "array", "minItems": 1, "items": _ref("UIMessage")},
            "trigger": {"type": "string", "enum": ["submit-message", "regenerate-message"]},
            "messageId": TEXT,
            "model": MODEL,
            "provider": {"const": "openrouter"},
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
            "attachments": {
                "type": "array",
                "items": _object(
                    {"name": TEXT, "url": {"type": "string", "format": "uri"}}, required=("name", "url"), is_closed=True
                ),
            },
        },
        required=("messages",),
        description="What `useChat` posts.",
        is_closed=True,
    ),
    "UIMessageChunk": {
        "description": "One event of the UI message stream.",
        "oneOf": [
            *(_chunk(kind) for kind in ("start", "start-step", "finish-step")),
            *(_chunk(kind, id=TEXT) for kind in ("text-start", "text-end", "reasoning-start", "reasoning-end")),
            *(_chunk(kind, id=TEXT, delta=TEXT) for kind in ("text-delta", "reasoning-delta")),
            _chunk("file", url=TEXT, mediaType=TEXT),
            {**_chunk("source-url", sourceId=TEXT, url=TEXT, title=TEXT), "required": ["type", "sourceId", "url"]},
            _chunk("tool-input-start", toolCallId=TEXT, toolName=TEXT),
            _chunk("tool-input-delta", toolCallId=TEXT, inputTextDelta=TEXT),
            _chunk("tool-input-available", toolCallId=TEXT, toolName=TEXT, input={}),
            _chunk("error", errorText=TEXT),
            _chunk("finish", messageMetadata=_ref("UIMessageMetadata")),
            {"const": "[DONE]"},
        ],
    },
    "UIMessageMetadata": _object(
        {
            "requestId": TEXT,
            "model": TEXT,
            "usage": _object(
                {"promptTokens": {"type": ["integer", "null"]}, "completionTokens": {"type": ["integer", "null"]}},
                required=("promptTokens", "completionTokens"),
            ),
            "creditsCharged": {"type": ["integer", "string"]},
            "creditsRemaining": {"type": ["integer", "string"]},
            "currency": {"type": "string", "description": "What that is in, where it is not credits."},
        },
        required=("requestId",),
        description="What an answer cost, as far as it is known when it ends.",
    ),
    "ImageRequest": _object(
        {
            "prompt": {"type": "string", "minLength": 1, "maxLength": 2000},
            "model": MODEL,
            "count": {"type": "integer", "minimum": 1, "maximum": 4, "default": 1},
            "size": {
                "type": "string",
                "enum": ["256x256", "512x512", "1024x1024", "1024x1536", "1536x1024"],
                "default": "1024x1024",
            },
            "aspectRatio": {
                "type": "string",
                "enum": ["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"],
                "description": "Instead of a size.",
            },
            "attachments": {
                "type": "array",
                "items": _object(
                    {"name": TEXT, "url": {"type": "string", "format": "uri"}}, required=("url",), is_closed=True
                ),
            },
        },
        required=("prompt",),
        is_closed=True,
    ),
    "ImageList": _object(
        {
            "images": {
                "type": "array",
                "items": {"type": "string", "format": "uri"},
                "description": "Data URLs or URLs.",
            },
            "credits_used": {
                "type": ["integer", "string", "null"],
                "description": "What the images cost; null while it is not yet settled.",
            },
        },
        required=("images", "credits_used"),
    ),
    "OwnKey": _object(
        {
            "data": _object(
                {
                    "label": TEXT,
                    "currency": TEXT,
                    "limit": {"type": ["number", "null"], "description": "The key's budget."},
                    "limit_remaining": {"type": ["number", "null"], "description": "Of it, in the current period."},
                    "limit_reset": {"type": ["string", "null"], "enum": ["daily", "weekly", "monthly", None]},
                    "usage": {"type": "number"},
                    "usage_daily": {"type": "number"},
                    "usage_weekly": {"type": "number"},
                    "usage_monthly": {"type": "number"},
                    "expires_at": {"type": ["string", "null"], "format": "date-time"},
                },
                required=("label", "usage"),
            )
        },
        required=("data",),
    ),
    "OwnCredits": _object(
        {
            "data": _object(
                {"total_credits": {"type": "number"}, "total_usage": {"type": "number"}, "currency": TEXT},
                required=("total_credits", "total_usage"),
            )
        },
        required=("data",),
    ),
    "OwnGeneration": _object(
        {
            "data": _object(
                {
                    "id": TEXT,
                    "model": TEXT,
                    "created_at": {"type": "string", "format": "date-time"},
                    "total_cost": {"type": "number", "description": "What was charged."},
                    "currency": TEXT,
                    "tokens_prompt": {"type": ["integer", "null"]},
                    "tokens_completion": {"type": ["integer", "null"]},
                    "cancelled": {"type": "boolean"},
                    "streamed": {"type": "boolean"},
                },
                required=("id", "model", "total_cost"),
            )
        },
        required=("data",),
    ),
    "LabelledModelList": _object(
        {"models": {"type": "array", "items": _object({"id": TEXT, "label": TEXT}, required=("id", "label"))}},
        required=("models",),
    ),
}

JSON, EVENTS = "application/json", "text/event-stream"
#: OpenAPI 3.1 has no words for what comes one event after another.
STREAM: Schema = {"description": "Server-sent events."}

PRICE: Schema = {"type": "string", "pattern": f"^{DOLLARS}$".replace(r"\d", "[0-9]")}
_MODALITY = "|".join(sorted(MODALITIES))
OUTPUTS: Schema = {"type": "string", "pattern": f"^(all|{_MODALITY})(,(all|{_MODALITY}))*$"}
INPUTS: Schema = {"type": "string", "pattern": f"^({_MODALITY})(,({_MODALITY}))*$"}
WORDS: Schema = {"type": "string", "pattern": "^[^,]+(,[^,]+)*$"}
MODEL_FILTERS: tuple[tuple[str, str, Schema], ...] = (
    ("output_modalities", "What models put out, with commas, or `all`; text alone where it is left out.", OUTPUTS),
    ("input_modalities", "What they must take, with commas between them.", INPUTS),
    ("supported_parameters", "Parameters that they must take, with commas between them.", WORDS),
    ("model_authors", "Who made them, with commas between them.", WORDS),
    ("q", "A part of the id or the name.", TEXT),
    ("context", "How many tokens a model must be able to read at the least.", {**COUNT, "maximum": LONGEST_CONTEXT}),
    ("min_price", "The least that a million tokens of a prompt cost at the provider, in US dollars.", PRICE),
    ("max_price", "The most that they cost there.", PRICE),
    ("sort", "How they are sorted; as the provider lists them where it is left out.",
     {"type": "string", "enum": list(SORTS)}),
    ("offset", "How many to pass over.", {**COUNT, "maximum": FARTHEST}),
    ("limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": MOST_AT_ONCE}),
)  # fmt: skip

CHAT_FORMAT: Schema = {
    "name": "protocol",
    "in": "query",
    "description": "How the answer comes: UI message parts, plain text, or the data stream of version 4.",
    "schema": {"type": "string", "enum": ["ui", "text", "data"], "default": "ui"},
}
HOLD_ID: Schema = {
    "name": "X-Hold-Id",
    "in": "header",
    "description": "The session hold that pays for this call instead of the account: see POST /api/credits/holds.",
    "schema": {"type": "string", "format": "uuid"},
}

#: How a call of a model can fail.
CALL_FAILURES = (400, 401, 402, 403, 404, 408, 409, 413, 415, 429, 502, 503, 504)
#: How a question for what is one's own can fail.
OWN_FAILURES = (401, 403, 404, 429)

IMAGES = Route(
    method="post",
    path="/v1/images/generations",
    aliases=("/api/v1/images/generations",),
    id="generateImages",
    summary="Images, as OpenAI and OpenRouter have them",
    description=(
        "Asks for `n` images and charges those that came. With `stream: true` previews come as events "
        "`image_generation.partial_image`, which are free, and each image as `image_generation.completed`."
    ),
    body=_ref("ImageGenerationRequest"),
    example={"model": "openai/gpt-5-image-mini", "prompt": "A lighthouse at dusk"},
    answers={JSON: _ref("ImageGenerations"), EVENTS: STREAM},
    error=OPENAI_ERROR,
    failures=CALL_FAILURES,
    parameters=[HOLD_ID],
    charges=True,
)

ROUTES = [
    Route(
        method="post",
        path="/v1/chat/completions",
        aliases=("/api/v1/chat/completions",),
        id="createChatCompletion",
        summary="Chat, as OpenAI has it",
        description=(
            "Sets aside what the call can cost, asks the model, relays the answer as it comes, then charges what was "
            "used. A call that fails is free. With `stream: true` the answer is server-sent events that end with "
            "`data: [DONE]`; an error after the first event is an event with `error`."
        ),
        body=_ref("ChatCompletionRequest"),
        example={"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]},
        answers={JSON: _ref("ChatCompletion"), EVENTS: STREAM},
        answer_example={
            "id": "gen-1732104000-abc",
            "object": "chat.completion",
            "created": 1732104000,
            "model": "openai/gpt-4o-mini",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"},
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        },
        error=OPENAI_ERROR,
        failures=CALL_FAILURES,
        parameters=[HOLD_ID],
        charges=True,
    ),
    Route(
        method="post",
        path="/v1/completions",
        aliases=("/api/v1/completions",),
        id="createCompletion",
        summary="Go on from a text, as OpenAI had it",
        description="As `POST /v1/chat/completions`, with a `prompt` instead of messages.",
        body=_ref("CompletionRequest"),
        example={"model": "openai/gpt-4o-mini", "prompt": "Once upon a time"},
        answers={JSON: _ref("Completion"), EVENTS: STREAM},
        error=OPENAI_ERROR,
        failures=CALL_FAILURES,
        parameters=[HOLD_ID],
        charges=True,
    ),
    Route(
        method="post",
        path="/v1/messages",
        aliases=("/api/v1/messages",),
        id="createMessage",
        summary="Messages, as Anthropic has them",
        description=(
            "Anthropic's request, answer, events and errors. `max_tokens` may be left out. An error after the first "
            "event is an event `error`. Tools that the provider runs, `mcp_servers`, `container` and fast speed have "
            "no price and are refused by name."
        ),
        body=_ref("MessagesRequest"),
        example={
            "model": "anthropic/claude-sonnet-4.5",
            "max_tokens": 500,
            "messages": [{"role": "user", "content": "Hello"}],
        },
        answers={JSON: _ref("Message"), EVENTS: STREAM},
        error=ANTHROPIC_ERROR,
        failures=CALL_FAILURES,
        parameters=[HOLD_ID],
        charges=True,
    ),
    Route(
        method="post",
        path="/v1/responses",
        aliases=("/api/v1/responses",),
        id="createResponse",
        summary="Responses, as OpenAI has them",
        description=(
            "OpenAI's request, answer and events, without a memory: `background`, `conversation`, "
            "`previous_response_id`, stored prompts and tools that the provider runs are refused by name."
        ),
        body=_ref("ResponsesRequest"),
        example={"model": "openai/gpt-4o-mini", "input": "Hello"},
        answers={JSON: _ref("ResponsesAnswer"), EVENTS: STREAM},
        error=OPENAI_ERROR,
        failures=CALL_FAILURES,
        parameters=[HOLD_ID],
        charges=True,
    ),
    IMAGES,
    replace(IMAGES, path="/v1/images", aliases=("/api/v1/images",), id="generateImagesAsOpenRouter"),
    Route(
        method="post",
        path="/v1/embeddings",
        aliases=("/api/v1/embeddings",),
        id="createEmbedding",
        summary="Embeddings, as OpenAI has them",
        description="Vectors of texts. Each text is a unit; those that get no vector are not charged.",
        body=_ref("EmbeddingRequest"),
        example={"model": "openai/text-embedding-3-small", "input": ["A ledger", "A book of accounts"]},
        answers={JSON: _ref("EmbeddingList")},
        error=OPENAI_ERROR,
        failures=CALL_FAILURES,
        parameters=[HOLD_ID],
        charges=True,
    ),
    Route(
        method="get",
        path="/v1/models",
        aliases=("/api/v1/models",),
        id="listModels",
        summary="Models, as OpenAI has them",
        description=(
            "The models that can be called, with the provider's own description of each, and in `prices` what it "
            "costs the caller."
        ),
        parameters=[
            {"name": name, "in": "query", "description": description, "schema": schema}
            for name, description, schema in MODEL_FILTERS
        ],
        answers={JSON: _ref("ModelList")},
        answer_example={
            "object": "list",
            "total_count": 1,
            "data": [
                {
                    "id": "openai/gpt-4o-mini",
                    "name": "OpenAI: GPT-4o-mini",
                    "prices": [
                        {"feature": "ai_text_chat", "currency": "credits", "type": "FIXED", "amount": "1"},
                    ],
                }
            ],
        },
        error=OPENAI_ERROR,
        failures=(400, 401, 403, 404, 429, 502, 503, 504),
    ),
    Route(
        method="get",
        path="/v1/key",
        aliases=("/api/v1/key",),
        id="getOwnKey",
        summary="The key that asks, as OpenRouter has it",
        description="Its budget and what it has spent, in the currency that is named.",
        answers={JSON: _ref("OwnKey")},
        error=OPENAI_ERROR,
        failures=OWN_FAILURES,
    ),
    Route(
        method="get",
        path="/v1/credits",
        aliases=("/api/v1/credits",),
        id="getOwnCredits",
        summary="Credits, as OpenRouter has them",
        description="What the customer has had, and used of it: the first less the second is the balance.",
        answers={JSON: _ref("OwnCredits")},
        answer_example={"data": {"total_credits": 1000, "total_usage": 12.5, "currency": "credits"}},
        error=OPENAI_ERROR,
        failures=OWN_FAILURES,
    ),
    Route(
        method="get",
        path="/v1/generation",
        aliases=("/api/v1/generation",),
        id="getOwnGeneration",
        summary="One of your calls, as OpenRouter has it",
        description="What became of a call that has ended, by its `X-Generation-Id`.",
        parameters=[
            {
                "name": "id",
                "in": "query",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
            }
        ],
        answers={JSON: _ref("OwnGeneration")},
        error=OPENAI_ERROR,
        failures=(400, *OWN_FAILURES),
    ),
    Route(
        method="post",
        path="/api/ai/chat",
        id="streamChat",
        summary="Chat for `useChat`",
        description=(
            "The UI message stream of the AI SDK, versions 5 to 7, with `x-vercel-ai-ui-message-stream: v1`. The "
            "`messageMetadata` of the `finish` part says `creditsCharged`, `creditsRemaining`, `usage`, `model` and "
            "`requestId`. Refusals before the first part are plain HTTP errors; later ones are an `error` part. "
            "`protocol=text`, or `Accept: text/plain`, answers with the text alone, `protocol=data` with the data "
            "stream of version 4."
        ),
        body=_ref("UIChatRequest"),
        example={
            "id": "chat-1",
            "trigger": "submit-message",
            "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}],
        },
        answers={EVENTS: _ref("UIMessageChunk"), "text/plain": TEXT},
        error=FLAT_ERROR,
        failures=CALL_FAILURES,
        parameters=[CHAT_FORMAT, HOLD_ID],
        charges=True,
    ),
    Route(
        method="get",
        path="/api/ai/chat/{id}/stream",
        id="resumeChat",
        summary="Resume a chat: nothing to resume",
        description="What `useChat` asks after a reload. An answer ends with its request here: there is none.",
        parameters=[{"name": "id", "in": "path", "required": True, "description": "Of the chat.", "schema": TEXT}],
        answers={},
        error=FLAT_ERROR,
        failures=(401, 403, 404),
    ),
    Route(
        method="post",
        path="/api/ai/image",
        id="createImages",
        summary="Make images",
        description="Asks for `count` images and charges those that came. None came: free.",
        body=_ref("ImageRequest"),
        example={"prompt": "A lighthouse at dusk", "count": 1},
        answers={JSON: _ref("ImageList")},
        answer_example={"images": ["data:image/png;base64,iVBORw0KGgo="], "credits_used": 5},
        error=FLAT_ERROR,
        failures=CALL_FAILURES,
        parameters=[HOLD_ID],
        charges=True,
    ),
    Route(
        method="get",
        path="/api/ai/openrouter/models",
        id="listLabelledModels",
        summary="Models for a picker",
        description="Ids and labels, of models that write text or, with `capability=image`, make images.",
        parameters=[
            {
                "name": "capability",
                "in": "query",
                "description": "`image` for models that make images.",
                "schema": {"type": "string", "enum": ["text", "image"]},
            }
        ],
        answers={JSON: _ref("LabelledModelList")},
        answer_example={"models": [{"id": "openai/gpt-4o-mini", "label": "OpenAI: GPT-4o-mini"}]},
        error=FLAT_ERROR,
        failures=(400, 401, 403, 404, 429, 502, 503, 504),
    ),
]
