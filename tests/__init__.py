"""The tests, one folder for each kind of truth that they establish."""
