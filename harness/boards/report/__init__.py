"""What somebody sends who tried a board: one file with all that is known of it here, without what names people and places."""
