"""What both programs share in front of a person: settings, output, logs. Knows neither hub nor sidecar."""
