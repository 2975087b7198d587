"""report.html: the numbers of `evaluation` as a page."""
