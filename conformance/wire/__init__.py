"""The wire: bytes out, bytes in, and when. Knows no check and no verdict."""
