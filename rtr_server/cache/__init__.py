"""What the daemon serves: the history of a data set, encoded once and shared by all sessions."""
