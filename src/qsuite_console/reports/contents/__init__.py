"""One module a report: what was found becomes a document. Pure; where there is nothing they say so."""
