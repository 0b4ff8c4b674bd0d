"""The outside world behind `service.domain.ports`: images, decoders, models, tokens, secrets, telemetry."""
