"""Where snapshots come from: files, URLs, the synthetic set; and what happens as they expire."""
