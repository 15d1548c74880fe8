"""Session holds over HTTP: a budget that its customer holds once, and that many calls draw on."""
