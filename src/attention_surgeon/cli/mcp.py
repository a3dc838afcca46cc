"""`surgeon mcp`: diagnosis, patches and tests as tools for agents and editors, over standard input and output."""


def mcp() -> int:
    """Serve diagnose, fix, write_test, explain_fault and trace to an agent or an editor.

    It speaks the Model Context Protocol over standard input and output, until the input ends. No network is used.
    """
    from attention_surgeon.repair.agents import make_server  # here, because it loads torch

    make_server().run("stdio")
    return 0
