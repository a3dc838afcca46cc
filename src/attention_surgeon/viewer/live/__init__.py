"""The operating table in a browser: a page on this computer alone, and the server behind it.

The server knows nothing of models. What operates is handed to it as a `Table`.
"""

from attention_surgeon.viewer.live.limits import Limits
from attention_surgeon.viewer.live.request import TableRequest
from attention_surgeon.viewer.live.serving import Serving, serve
from attention_surgeon.viewer.live.table import Answer, StillWanted, Table

__all__ = ["Answer", "Limits", "Serving", "StillWanted", "Table", "TableRequest", "serve"]
