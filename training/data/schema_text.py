r"""A schema as the text of a schema file. Only training writes one: the service reads it.

>>> schema = Schema.parse('label = "click"\n[fields.device]\nkind = "categorical"\n')
>>> print(schema_text(schema).splitlines()[-3:])
['role = "context"', 'missing = "token"', 'min_count = 2']
"""

import tomli_w

from model.schema import USUAL_MARKS, Schema


def schema_text(schema: Schema) -> str:
    """The schema as TOML, with every setting but those that the schema as a whole has given;
    `Schema.parse` reads it back equal.
    """
    head = schema.model_dump(exclude={"fields"}, exclude_none=True)
    usual = {"null_values": schema.null_values, "as_text": False, "private": False, **USUAL_MARKS}
    fields = {}
    for name, field in schema.fields.items():
        settings = field.model_dump(exclude_none=True)
        kept = {key: value for key, value in settings.items() if value != usual.get(key, ...)}
        fields[name] = {"kind": kept.pop("kind"), **kept}
    return tomli_w.dumps(
        {**{key: value for key, value in head.items() if value != ()}, "fields": fields}
    )
