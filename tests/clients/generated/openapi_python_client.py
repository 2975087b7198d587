"""A request through the client that openapi-python-client makes."""

import sys

from ctr_afm_client import Client
from ctr_afm_client.api.operation import readyz
from ctr_afm_client.api.scoring import predict
from ctr_afm_client.models import CandidatesRequest, PredictAnswer, Problem

client = Client(base_url=sys.argv[1])
context = {"user": 3000000001, "hour": 1234567.89, "device": None, "interests": ["cars", "golf"]}


def request(*candidates: dict) -> CandidatesRequest:
    return CandidatesRequest.from_dict({"context": context, "candidates": list(candidates)})


answer = predict.sync(client=client, body=request({"ad": "a1"}, {"ad": "a2"}))
assert isinstance(answer, PredictAnswer)
print(len(answer.probabilities))
print(readyz.sync(client=client).status)
refused = predict.sync(client=client, body=request({"price": "3.5 EUR"}))
assert isinstance(refused, Problem)
print(refused.status, refused.code, refused.field)
