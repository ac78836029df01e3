"""The ways work is done: `echo` in process, `command` as a guarded child process, one contract for all.

Owns nothing itself; import from the module that owns the name. A runner never knows journal, link or hub.
"""
