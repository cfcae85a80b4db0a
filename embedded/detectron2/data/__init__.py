"""Data sets, their catalogs, transforms and loaders."""
