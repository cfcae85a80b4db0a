"""What ``dvps demo`` is made of."""
