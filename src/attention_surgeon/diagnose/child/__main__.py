"""The program of a child that is a new interpreter."""

from attention_surgeon.diagnose.child.process import main

main()
