"""Plugins as documents and as code that somebody else wrote: what is offered, what is refused, and why."""
