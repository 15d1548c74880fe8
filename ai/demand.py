"""
How much a request can come to at the provider, measured from its body before anybody is called.

A token is at least one byte of text, so the length of the body bounds the tokens of the prompt. What is not text is
counted apart. What costs money and has no price here is refused by name: never let through, never guessed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ai.protocols.base import Wanted
from billing.errors import UnpricedField
from billing.pricing import Demand

#: Tokens of an image in the prompt: more than any model makes of one that providers accept.
TOKENS_OF_IMAGE = 50_000
#: Tokens that providers add by themselves: the template of a chat, what explains tools to a model.
TOKENS_OF_TEMPLATE, TOKENS_OF_TOOLS = 200, 1_000
#: Nobody knows how long a file or a video is before it is read; a model reads no more than its context.
UNKNOWN_LENGTH = 10**9

#: Fields that buy something besides tokens.
UNPRICED = frozenset({
    "container", "enable_search", "mcp_servers", "prediction", "preset", "search_parameters", "tool_resources",
    "web_search", "web_search_options",
})  # fmt: skip
#: Plugins that cost nothing, and ways to read files that cost no more than their tokens.
FREE_PLUGINS = frozenset({"context-compression", "response-healing"})
FREE_READERS = frozenset({"native", "pdf-text"})
ORDINARY_TIERS = frozenset({"auto", "default", "flex", "standard", "standard_only"})
#: Tools that the caller runs. All others are run by a provider, who asks money for it.
OWN_TOOLS = frozenset({"function", "custom"})
OWN_TOOL_FAMILIES = ("bash_", "computer_", "memory_", "text_editor_")
#: The ending of a model's name that searches the web.
ONLINE = ":online"

IMAGES = frozenset({"image_url", "input_image", "image"})
FILES = frozenset({"file", "input_file", "document", "video_url", "input_video", "video"})
AUDIO = frozenset({"input_audio", "audio"})
#: What a body holds that has a part which is not text.
MARKS = tuple(f'"type":"{kind}"'.encode() for kind in sorted(IMAGES | FILES | AUDIO))


def measure(wanted: Wanted, body: bytes | memoryview) -> Demand:
    """
    Return what ``wanted``, encoded as ``body``, can come to at most.

    :raises UnpricedField: if a field buys what has no price here
    """
    payload = wanted.payload
    _refuse_unpriced(wanted.model, payload)
    text, images, has_files, has_audio = len(body), 0, False, False
    raw = bytes(body)
    if any(mark in raw for mark in MARKS):
        text, images, has_files, has_audio = _parts(payload, text)
    prompt = text + images * TOKENS_OF_IMAGE + TOKENS_OF_TEMPLATE * wanted.prompts
    if payload.get("tools"):
        prompt += TOKENS_OF_TOOLS
    choices = max(_count(payload.get("n")), _count(payload.get("best_of")))
    return Demand(
        prompt_tokens=UNKNOWN_LENGTH if has_files else prompt,
        images=images,
        completion_tokens=_limit(wanted) if wanted.limit_fields else None,
        choices=choices * wanted.prompts,
        prompts=wanted.prompts,
        calls=wanted.calls,
        can_be_limited=bool(wanted.limit_fields),
        has_audio=has_audio,
        has_files=has_files and not _reads_for_free(payload.get("plugins")),
        caches_long=b'"cache_control"' in raw,
    )


def _limit(wanted: Wanted) -> int | None:
    """The lowest limit of an answer that the caller set; what is no limit is the provider's to refuse."""
    given = (wanted.payload.get(name) for name in wanted.limit_fields)
    limits = [value for value in given if isinstance(value, int) and not isinstance(value, bool) and value > 0]
    return min(limits, default=None)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 1 else 1


def _parts(payload: Mapping[str, Any], length: int) -> tuple[int, int, bool, bool]:
    """Return the bytes that are text, how many images there are, and whether there are files and sound."""
    images, has_files, has_audio = 0, False, False
    rest: list[Any] = [payload]
    while rest:
        node = rest.pop()
        if isinstance(node, list):
            rest += node
        elif isinstance(node, dict):
            kind = node.get("type")
            if kind in IMAGES:
                images += 1
                length -= _bytes_of(node)
                continue
            has_files = has_files or kind in FILES
            has_audio = has_audio or kind in AUDIO
            rest += node.values()
    return max(0, length), images, has_files, has_audio


def _bytes_of(node: Any) -> int:
    """The bytes of the ASCII texts in a part that is an image: its URL or its data, which are not read as text."""
    if isinstance(node, str):
        return len(node) if node.isascii() else 0
    inner: Iterable[Any] = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return sum(_bytes_of(each) for each in inner)


def _refuse_unpriced(model: str, payload: Mapping[str, Any]) -> None:
    if not UNPRICED.isdisjoint(payload):
        name = min(UNPRICED.intersection(payload))
        if payload[name] not in (None, False):
            raise UnpricedField(f"body.{name}")
    if model.endswith(ONLINE):
        raise UnpricedField("body.model", "Searching the web (:online) has no price here. Leave it out.")
    fallbacks = payload.get("models")
    for index, name in enumerate(fallbacks if isinstance(fallbacks, list) else ()):
        if isinstance(name, str) and name.endswith(ONLINE):
            raise UnpricedField(f"body.models[{index}]", "Searching the web (:online) has no price here. Leave it out.")
    if payload.get("plugins"):
        _refuse_plugins(payload["plugins"])
    if payload.get("tools"):
        _refuse_tools(payload["tools"])
    if "compact" in str(payload.get("context_management")):
        raise UnpricedField("body.context_management", "Compaction, a call of its own, has no price here.")
    tier = payload.get("service_tier")
    if tier is not None and tier not in ORDINARY_TIERS:
        raise UnpricedField("body.service_tier", "Only ordinary service has a price here: auto, default or flex.")


def _refuse_plugins(plugins: Any) -> None:
    for index, plugin in enumerate(plugins if isinstance(plugins, list) else [plugins]):
        id_ = plugin.get("id") if isinstance(plugin, dict) else None
        if id_ not in FREE_PLUGINS and not _reads_for_free([plugin]):
            raise UnpricedField(f"body.plugins[{index}]", f"The plugin {str(id_)[:50]!r} has no price here.")


def _reads_for_free(plugins: Any) -> bool:
    """Whether a plugin says how files are read, and that it costs no more than their tokens."""
    for plugin in plugins if isinstance(plugins, list) else ():
        if isinstance(plugin, dict) and plugin.get("id") == "file-parser":
            reader = plugin.get("pdf")
            if isinstance(reader, dict) and reader.get("engine") in FREE_READERS:
                return True
    return False


def _refuse_tools(tools: Any) -> None:
    for index, tool in enumerate(tools if isinstance(tools, list) else [tools]):
        kind = tool.get("type", "function") if isinstance(tool, dict) else None
        if not isinstance(kind, str) or not (kind in OWN_TOOLS or kind.startswith(OWN_TOOL_FAMILIES)):
            raise UnpricedField(f"body.tools[{index}]", "Tools that the provider runs have no price here.")
