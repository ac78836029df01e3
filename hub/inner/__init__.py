"""Agents within the hub's own process: they speak with the board as every agent does, and have no socket.

They know the wire's frames and the board's letters; what they do with an order is their `Work`.
"""
