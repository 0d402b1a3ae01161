"""One small client for models: a target, a question, and a typed answer with its usage."""

from router.client.ask import ask, ask_async, ask_stream, ask_stream_async
from router.client.reply import Reply, Token
from router.client.streams import Spoken, SpokenAsync

__all__ = ["Reply", "Spoken", "SpokenAsync", "Token", "ask", "ask_async", "ask_stream", "ask_stream_async"]
