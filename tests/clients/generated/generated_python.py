"""A request through the client that openapi-generator makes for Python."""

import sys

import openapi_client
from openapi_client import CandidatesRequest, PredictRequest, Problem

client = openapi_client.ApiClient(openapi_client.Configuration(host=sys.argv[1]))
context = {"user": 3000000001, "hour": 1234567.89, "device": None, "interests": ["cars", "golf"]}
scoring = openapi_client.ScoringApi(client)
request = CandidatesRequest(context=context, candidates=[{"ad": "a1"}, {"ad": "a2"}])
answer = scoring.predict(PredictRequest(request))
print(len(answer.probabilities))
print(openapi_client.OperationApi(client).readyz().status)
request = CandidatesRequest(context=context, candidates=[{"price": "3.5 EUR"}])
try:
    scoring.predict(PredictRequest(request))
except openapi_client.ApiException as refused:
    problem = refused.data if isinstance(refused.data, Problem) else None
    print(refused.status, problem and problem.code, problem and problem.var_field)
