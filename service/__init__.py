"""The inference service: an image in, a finding out, and the proof of it.

Begin with `domain.flow` (what happens to an image), then `http.recorder` (nothing leaves unrecorded) and
`app` (how it is put together).
"""
