"""Pages for people, served from files of the installation."""
