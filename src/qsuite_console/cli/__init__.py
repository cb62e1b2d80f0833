"""The command line: argv to settings to one front end, each imported only in the branch that was taken."""
