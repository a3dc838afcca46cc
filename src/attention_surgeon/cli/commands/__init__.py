"""The commands and their options, nothing heavy; the work stands in `cli`, in a file of the command's name."""
