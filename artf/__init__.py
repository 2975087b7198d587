"""The Agentic RTB Framework of the IAB Tech Lab, version 1.0: gRPC before the app of `/predict`.

It knows messages and no model. The service loads it by name, and the service's image lacks it.
"""
