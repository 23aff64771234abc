"""The encoder in the box: its architecture, its training and its measured quality."""
