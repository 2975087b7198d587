"""One step of a fit: epochs over one net, until the best one is found."""
