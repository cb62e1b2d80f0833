"""Questions and small pages over a screen; Esc always leaves them without consequence."""
