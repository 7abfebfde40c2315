"""What can be relied on, attacked by seed; results in docs/trust.md. `make trust` runs all of it."""
