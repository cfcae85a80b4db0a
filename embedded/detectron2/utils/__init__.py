"""Helpers used by every other part: processes, events, logging, files, drawing."""
