"""Reports: data becomes a typed document, a document becomes a file; rendered in a process that can reach nothing."""
