"""One paper, one file. A file's name is its variant's name; nothing lists them."""
