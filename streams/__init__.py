"""The Redis face that other services rely on: requests and results as streams, progress by pub/sub.

Hub and sidecar both speak it; it knows neither.
"""
