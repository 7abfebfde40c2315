"""What Prometheus may know of a server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one server; several in a process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "erc_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "erc_request_seconds", "Time from the head of a request to the end of its answer.",
            ["route"], buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.batches = Histogram(
            "erc_batch_size", "Utterances the model answered together.",
            buckets=SIZES, registry=self.registry,
        )  # fmt: skip
        self.depth = Gauge(
            "erc_queue_depth", "Utterances accepted and not yet answered.", registry=self.registry
        )
        self.audio = Counter(
            "erc_audio_seconds", "Length of the recordings decoded.", registry=self.registry
        )

    def text(self) -> bytes:
        """Prometheus text format 0.0.4."""
        return generate_latest(self.registry)
