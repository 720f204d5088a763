"""Judges a chat-completions endpoint by its own documentation: `pytest --target URL --dialect NAME`."""
