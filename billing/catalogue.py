"""What can be billed. One line here, and a price, make a new feature."""

from enum import StrEnum


class Feature(StrEnum):
    """
    Something billable. The values are the first original's keys and stay as they are.

    Rows keep them as plain text, so history may name a feature that is gone and a
    new one needs no migration.
    """

    AI_TEXT_CHAT = "ai_text_chat"
    AI_IMAGE_GENERATION = "ai_image_generation"
    AI_EMBEDDING = "ai_embedding"


LABELS = {
    Feature.AI_TEXT_CHAT: "AI text chat",
    Feature.AI_IMAGE_GENERATION: "AI image generation",
    Feature.AI_EMBEDDING: "AI embedding",
}
