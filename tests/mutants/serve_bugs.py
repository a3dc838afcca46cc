"""Bugs for the operating table: what must be refused, whose turn it is, what the page asks for."""

from tests.mutants.mutant import Mutant

SERVE_BUGS = [
    Mutant(
        "every address of the computer answers",
        "viewer/live/serving.py",
        "listening.bind((HOST, port))",
        'listening.bind(("", port))',
    ),
    Mutant("any host passes", "viewer/live/guard.py", "if host not in self._hosts:", "if not host:"),
    Mutant(
        "any origin passes",
        "viewer/live/guard.py",
        'if headers.get("origin", f"http://{host}") != f"http://{host}":',
        'if headers.get("origin") == "":',
    ),
    Mutant(
        "no origin is asked for", "viewer/live/guard.py", 'if "origin" not in headers:', 'if "host" not in headers:'
    ),
    Mutant(
        "the page's cookie operates",
        "viewer/live/guard.py",
        "self.token, self._page_secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)",
        "self.token = self._page_secret = secrets.token_urlsafe(32)",
    ),
    Mutant(
        "half a token passes",
        "viewer/live/guard.py",
        "hmac.compare_digest(given.encode(), expected.encode())",
        "bool(given) and hmac.compare_digest(given.encode(), expected.encode()[: len(given)])",
    ),
    Mutant(
        "secrets are compared letter by letter",
        "viewer/live/guard.py",
        "hmac.compare_digest(given.encode(), expected.encode())",
        "given == expected",
    ),
    Mutant(
        "a path is decoded first",
        "viewer/live/app.py",
        'path = request.scope["raw_path"]',
        'path = request.scope["path"].rpartition("/..")[2].encode()',
    ),
    Mutant("a body is read whole", "viewer/live/app.py", "if len(content) > most:", "if len(content) > 100 * most:"),
    Mutant(
        "the length that is said is not looked at",
        "viewer/live/app.py",
        'if int(headers.get("content-length", "0")) > most:',
        'if int(headers.get("content-length", "0")) < 0:',
    ),
    Mutant(
        "a body may take for ever",
        "viewer/live/app.py",
        "async with asyncio.timeout(self._limits.body_seconds):",
        "async with asyncio.timeout(None):",
    ),
    Mutant(
        "a connection may say nothing for ever",
        "viewer/live/run.py",
        "if self.cycle is None:",
        "if self.cycle is not None:",
    ),
    Mutant(
        "a mistake shows its own words",
        "viewer/live/app.py",
        "a mistake of this program: {type(error).__name__}.",
        "a mistake of this program: {error}.",
    ),
    Mutant(
        "NaN is a number", "viewer/live/request.py", 'raise ValueError(f"{name} is no number of JSON")', "return 1.0"
    ),
    Mutant(
        "a field may stand twice",
        "viewer/live/request.py",
        "if len(fields) < len(pairs):",
        "if len(fields) > len(pairs):",
    ),
    Mutant("unknown fields are let pass", "viewer/live/request.py", "if unknown:", "if unknown and not fields:"),
    Mutant(
        "an older request goes on",
        "viewer/live/turns.py",
        "if watch is not None and watch.page == page:",
        "if watch is not None and watch.page != page:",
    ),
    Mutant(
        "any number may wait",
        "viewer/live/turns.py",
        "if len(waiting) >= self._limits.most_waiting:",
        "if len(waiting) > 10 * self._limits.most_waiting:",
    ),
    Mutant(
        "two may operate at once", "viewer/live/turns.py", "if self._at_work is None:", "if self._at_work is not watch:"
    ),
    Mutant("the time of an operation is not counted", "viewer/live/turns.py", "watch.start()", "watch.check()"),
    Mutant(
        "the policy lets any program run",
        "viewer/live/page.py",
        "script-src {hash_of(code)};",
        "script-src 'unsafe-inline';",
    ),
    Mutant(
        "the token stays in the address",
        "viewer/page/live_wire.js",
        'history.replaceState(null, "", `/${location.hash}`);',
        "",
    ),
    Mutant("typing asks at each letter", "viewer/page/live.js", "isTyped ? TYPING_MS : 0", "0"),
    Mutant(
        "an error takes the place of the last result",
        "viewer/page/live.js",
        'this.results.setAttribute("aria-busy", "false");\n    this.doing',
        'this.results.setAttribute("aria-busy", "false");\n    this.said.replaceChildren();\n    this.doing',
    ),
    Mutant(
        "the model's own mask stays",
        "cli/serve_operation.py",
        "return dataclasses.replace(operands, allowed=allowed)",
        "return operands",
    ),
    Mutant(
        "the fault takes the place of the temperature",
        "cli/serve_operation.py",
        'parts.append(find_operation(f"temperature:{request.temperature:g}"))',
        'parts.insert(0, find_operation(f"temperature:{request.temperature:g}"))',
    ),
    Mutant("the chosen heads are forgotten", "cli/serve_table.py", "heads=request.heads,", "heads=None,"),
    Mutant(
        "a hook stays on the model",
        "cli/serve_table.py",
        "        for hook in hooks:\n            hook.remove()",
        "        pass",
    ),
    Mutant(
        "long texts are let pass",
        "cli/serve_table.py",
        "return fit_to_context(loaded.model, text, loaded.tokenizer, most_tokens_of(loaded))",
        "return text, None",
    ),
]
