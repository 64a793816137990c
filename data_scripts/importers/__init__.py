"""What the scripts for real data sets share: download, unpack, check, split, write one layout."""
