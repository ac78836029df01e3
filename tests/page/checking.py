"""The page's modules read by TypeScript's own checker, against the types made from the API.

`./dev check` runs it. Owns the strictness and the command line; the checker comes in a wheel and asks no
network. Never changes a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
STATIC: Final = ROOT / "hub" / "web" / "static"
CHECKER: Final = Path(sys.executable).parent / "deno"

STRICT: Final = {
    "checkJs": True,
    "strict": True,
    "noImplicitReturns": True,
    "noFallthroughCasesInSwitch": True,
    "noUncheckedIndexedAccess": False,  # an index into our own list is not an answer of the hub
    "lib": ["esnext", "dom", "dom.iterable", "dom.asynciterable"],
}


def check(folder: Path = STATIC) -> subprocess.CompletedProcess[str]:
    """Read every module below a folder."""
    modules = sorted(str(path) for path in folder.rglob("*.js"))
    assert modules, f"there are no modules in {folder}"
    with tempfile.TemporaryDirectory() as own:
        rules = Path(own) / "deno.json"
        rules.write_text(json.dumps({"compilerOptions": STRICT}))
        quiet = {"DENO_DIR": own, "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
        words = ("check", "--quiet", "--no-remote", "--no-npm", "--no-lock", "--config", str(rules))
        return subprocess.run(
            [CHECKER, *words, *modules],
            cwd=own,
            env=os.environ | quiet,
            capture_output=True,
            text=True,
            check=False,
        )


def main() -> int:
    """Say what is wrong, as `./dev check` shows it."""
    run = check()
    sys.stderr.write(run.stdout + run.stderr)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
