"""Attention as a kernel: a function of query, key and value that may be right at some sizes and wrong at others."""
