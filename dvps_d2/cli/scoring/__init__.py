"""Scoring folders: which files belong together (layouts), and counting them (runner)."""
