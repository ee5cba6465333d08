"""Parts of networks that more than one family or paper uses."""
