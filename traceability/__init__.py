"""Requirement -> code -> test. So far: `marks`, the decorator that ties code to a requirement."""
