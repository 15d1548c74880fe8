"""The wire formats that the simulator answers in, by path."""

from ai.providers.simulator.answering import Answering
from ai.providers.simulator.chat import Chat, Completion
from ai.providers.simulator.embeddings import Embeddings
from ai.providers.simulator.images import Images
from ai.providers.simulator.messages import Messages
from ai.providers.simulator.responses import Responses

FORMATS: dict[str, type[Answering]] = {
    "chat/completions": Chat,
    "completions": Completion,
    "embeddings": Embeddings,
    "images": Images,
    "messages": Messages,
    "responses": Responses,
}
