"""The screens: each renders the state it is shown and asks ``Control`` for the rest. One file and one .tcss each."""
