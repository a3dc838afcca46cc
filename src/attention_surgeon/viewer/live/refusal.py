"""A request that is refused: the status and the sentence."""

from typing import final

from attention_surgeon.errors import SurgeonError


@final
class Refusal(SurgeonError, RuntimeError):
    """Something that the server does not do.

    Attributes:
        status: Of HTTP.
    """

    def __init__(self, status: int, sentence: str) -> None:
        """Keep the status beside the sentence."""
        super().__init__(sentence)
        self.status = status
