"""The messages of one call: what an orchestrator asks, and the mutations that are answered.

They are made here of names and numbers (ARTF 1.0, and OpenRTB 2.6 by `openrtb`), so that no code is
generated and none is taken over. Where the specification's document and the interface definition
that it calls authoritative differ (`tmax` is 6 in the one and 3 in the other; intents are words, or
numbers), the latter counts.
"""

import re
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from artf.openrtb import MESSAGES

CALLS = """
RTBRequest: lifecycle 1 i, id 2 s, tmax 3 i, bid_request 4 BidRequest, originator 6 Originator,
  applicable_intents 7 *i
Originator: type 1 i, id 2 s
RTBResponse: id 1 s, mutations 2 *Mutation, metadata 3 Metadata
Mutation: intent 1 i, op 2 i, path 3 s, metrics 103 MetricsPayload
MetricsPayload: metric 1 *Metric
Metadata: api_version 1 s, model_version 2 s
"""
FILE, PACKAGE = "ctr_afm/artf.proto", "ctr_afm.artf"  # a message on the wire names neither
SERVICES = (
    # the interface definition's name, and the document's
    "com.iabtechlab.bidstream.mutation.services.v1.RTBExtensionPoint",
    "com.iabtechlab.bidstream.mutation.v1.RTBExtensionPoint",
)
METHOD = "GetMutations"
API_VERSION = "1.0"
ADD_METRICS = 7  # of the intents
OPERATION_ADD = 1

_SCALARS = {
    "b": FieldDescriptorProto.TYPE_BOOL,
    "i": FieldDescriptorProto.TYPE_INT32,
    "d": FieldDescriptorProto.TYPE_DOUBLE,
    "s": FieldDescriptorProto.TYPE_STRING,
}


def _file() -> FileDescriptorProto:
    # by the rules of proto2, in which a field that is 0 and one that is not there differ
    file = FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto2")
    for line in re.sub(r"\n +", " ", CALLS + MESSAGES).split("\n"):
        if line:
            name, _, fields = line.partition(": ")
            file.message_type.append(
                DescriptorProto(name=name, field=map(_field, fields.split(", ")))
            )
    return file


def _field(text: str) -> FieldDescriptorProto:
    name, number, kind = text.split()
    several = kind.startswith("*")
    kind = kind.removeprefix("*")
    found = FieldDescriptorProto(
        name=name,
        number=int(number),
        label=(
            FieldDescriptorProto.LABEL_REPEATED if several else FieldDescriptorProto.LABEL_OPTIONAL
        ),
        type=_SCALARS.get(kind, FieldDescriptorProto.TYPE_MESSAGE),
    )
    if kind not in _SCALARS:
        found.type_name = f".{PACKAGE}.{kind}"
    return found


_pool = DescriptorPool()
_pool.Add(_file())


def _class(name: str) -> Any:
    return GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


RTBRequest: Any = _class("RTBRequest")
RTBResponse: Any = _class("RTBResponse")


def object_of(message: Any) -> dict[str, Any]:
    """A message as OpenRTB's JSON has it: only what is there, and 1 and 0 for booleans."""
    found = {}
    for field, value in message.ListFields():
        name, read = _READERS[field]
        found[name] = value if read is None else read(value)
    return found


def _objects_of(messages: Any) -> list[dict[str, Any]]:
    return [object_of(one) for one in messages]


def _reader(field: Any) -> Any:
    # makes JSON of a value of this field; None where it is JSON already
    if field.message_type is not None:
        return _objects_of if field.is_repeated else object_of
    if field.is_repeated:
        return list
    return int if field.cpp_type == field.CPPTYPE_BOOL else None


# to ask a field for its name and type costs more than to look both up
_READERS = {
    field: (field.name, _reader(field))
    for message in _pool.FindFileByName(FILE).message_types_by_name.values()
    for field in message.fields
}
