"""The front end without a screen: a service loop, and the engine's HTTP interface on a Unix socket."""
