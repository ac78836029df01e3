"""What ends a sidecar or keeps it from starting.

    SidecarError              a sentence for the person and the exit code for the script
    ├── SettingsError         2: something is wrong with what it was told
    ├── NotAuthorised         4: the hub will not have this token or this name
    ├── HubUnreachable        5: a command that needs the hub now did not find it
    └── StateError            1: the state folder is taken, or cannot be used

Owns the exit codes of the sidecar's own errors; never catches one (`cli.py` does).
"""

from __future__ import annotations


class SidecarError(Exception):
    """A sentence that says what to do next."""

    exit_code = 1


class SettingsError(SidecarError):
    exit_code = 2


class NotAuthorised(SidecarError):
    exit_code = 4


class HubUnreachable(SidecarError):
    exit_code = 5


class StateError(SidecarError):
    exit_code = 1
