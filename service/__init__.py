"""The online side: an HTTP service that scores requests, and the commands that publish versions."""
