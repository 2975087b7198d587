"""The contract of both sides: schema, encoding, bundle, scoring, explanation.

Values in, values out, no network; only `model.nets` imports torch.
"""

import os

# onnxruntime's wheels (1.29 on) keep a device id and send usage events to their vendor, unless this
# stands before the library is first imported. Nobody who serves clicks asked for that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
