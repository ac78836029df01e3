"""Work that a sidecar can do: one folder a plugin, which knows neither hub nor sidecar nor its neighbours."""
