"""`erc serve`: a recognizer behind HTTP.

request → gate (key, size, time) → uploads → decoders ┐
                                                      ├→ batching: one thread, one model → answer
request → gate (key, size, time) → uploads → decoders ┘
"""
