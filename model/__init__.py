"""The contract both sides share: schema, encoding, bundle, scoring, explanation. Values in, values out, no network."""
