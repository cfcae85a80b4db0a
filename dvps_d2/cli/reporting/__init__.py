"""Gathering what a report shows: predictions of a run, or folders as ``dvps score`` takes them."""
