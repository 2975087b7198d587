"""Whether a bundle may be published: compared with the active version on labelled rows."""
