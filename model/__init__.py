"""The contract of both sides: schema, encoding, bundle, scoring, explanation.

Values in, values out, no network; only `model.nets` imports torch.
"""
