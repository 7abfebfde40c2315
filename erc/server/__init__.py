"""`erc serve`: a recognizer behind HTTP.

    request → gate → uploads (`Item`) ┐ decoders: decode(item) → `Clip` ┐
    request → gate → uploads (`Item`) ┘                                 ├→ one thread, one model → answer
                             a timeline in its own thread, clip by clip ┘

Files in this order, and each imports only those before it: settings, problems, metrics, gate, schemas,
uploads, decoding, batching, service, app; connections, listen; web/; run.

Enters: HTTP requests. Leaves: JSON, CSV, WebVTT, ELAN, or the page. May import: base, recognizer,
timeline; `web` also scores, whose results it shows.
"""
