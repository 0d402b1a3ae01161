"""The viewer: server-rendered pages over a store, complete without JavaScript, and the same as JSON."""

from web.app import create_app

__all__ = ["create_app"]
