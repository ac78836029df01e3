"""The ledger's files on a real disk, and on disks that fail."""
