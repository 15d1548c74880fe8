"""The wire formats that the simulator answers in, by path."""

from ai.providers.simulator.answering import Answering
from ai.providers.simulator.chat import Chat, Completion
from ai.providers.simulator.embeddings import Embeddings

FORMATS: dict[str, type[Answering]] = {
    "chat/completions": Chat,
    "completions": Completion,
    "embeddings": Embeddings,
}
