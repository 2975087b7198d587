"""wheel.py FOLDER PACKAGE...: puts packages of this project and the record of its version into
FOLDER, as an installer would, but without one: an image needs no build backend for that.
"""

import shutil
import sys
import tomllib
from pathlib import Path

folder, packages = Path(sys.argv[1]), sys.argv[2:]
project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
for package in packages:
    shutil.copytree(package, folder / package)
record = folder / f"ctr_afm-{project['version']}.dist-info"
record.mkdir()
(record / "METADATA").write_text(
    f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    f"License-Expression: {project['license']}\n",
    encoding="utf-8",
)
