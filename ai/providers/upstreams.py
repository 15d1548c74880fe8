"""
Behind OpenRouter: the providers that bill the whole of a stream, whoever hangs up on it.

From OpenRouter's page on streaming ("Stream cancellation"), which lists both kinds. With all
others an aborted connection stops the model and its bill. By the names that stand in a stream's
events as ``provider``, in lower case.
"""

BILLS_WHOLE = frozenset(
    {
        "ai21",
        "aionlabs",
        "alibaba",
        "amazon bedrock",
        "featherless",
        "google",
        "google ai studio",
        "groq",
        "huggingface",
        "inference.net",
        "inferencenet",
        "inflection",
        "kluster",
        "lambda",
        "lynn",
        "minimax",
        "mistral",
        "modal",
        "nebius",
        "nebius ai studio",
        "perplexity",
        "reflection",
        "replicate",
        "sambanova",
        "targon",
    }
)


def bills_whole(upstream: str) -> bool:
    """Whether ``upstream`` goes on and bills all of an answer that is aborted. Of one that is unknown: no."""
    return upstream.casefold() in BILLS_WHOLE
