"""The HTTP edge: `recorder` is outermost, then `routes`; `problems` maps error codes to RFC 9457."""
