"""wheel.py FOLDER BIN PYTHON PACKAGE...: puts packages of this project and the record of its
version into FOLDER, and their commands for PYTHON into BIN, as an installer would, but without one:
an image needs no build backend for that.
"""

import shutil
import sys
import tomllib
from pathlib import Path

folder, commands = Path(sys.argv[1]), Path(sys.argv[2])
python, packages = sys.argv[3], sys.argv[4:]
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
commands.mkdir(exist_ok=True)
for name, target in project["scripts"].items():
    module, _, function = target.partition(":")
    if module.partition(".")[0] in packages:
        # a worker process imports the command that started it, and must not run it again
        (commands / name).write_text(
            f"#!{python}\nimport sys\n\nfrom {module} import {function}\n\n"
            f'if __name__ == "__main__":\n    sys.exit({function}())\n',
            encoding="utf-8",
        )
        (commands / name).chmod(0o755)
