"""The export cut into pieces that machines can do side by side: index each file, then build the tables of each part.

Rows go in and out as Arrow record batches. Which engine carries them between the two steps is not known here.
"""
