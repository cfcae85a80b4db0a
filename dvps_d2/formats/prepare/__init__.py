"""From downloads to the trees that readers take: resumable, parallel, the same bytes every time."""
