"""Adds the operating system's packages to a CycloneDX file: `os_packages.py FILE < LINES`, a line
for each of name, version and architecture as dpkg-query prints them, between tabs.
"""

import json
import sys
from pathlib import Path
from urllib.parse import quote

file = Path(sys.argv[1])
listed = json.loads(file.read_text(encoding="utf-8"))
components = listed.setdefault("components", [])
for line in sys.stdin.read().splitlines():
    name, version, architecture = line.split("\t")
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}"
    component = {"type": "library", "name": name, "version": version, "purl": purl}
    components.append({"bom-ref": purl, **component})
file.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
