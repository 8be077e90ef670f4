"""What runs cost and move, as metrics of OpenTelemetry; nothing is imported before it is used."""
