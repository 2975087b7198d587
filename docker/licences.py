"""The licences of what is installed here, a line each: name, version, licence."""

import csv
import sys
from importlib.metadata import distributions

table = csv.writer(sys.stdout, lineterminator="\n")
table.writerow(("name", "version", "licence"))
for one in sorted(distributions(), key=lambda found: found.metadata["Name"].lower()):
    about = one.metadata
    said = about.get("License-Expression") or about.get("License", "").partition("\n")[0]
    kinds = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier", []) if "License ::" in c]
    table.writerow((about["Name"], about["Version"], said or "; ".join(kinds) or "not stated"))
