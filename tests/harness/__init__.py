"""What the end-to-end tests are made of: a receiver, programs under the agent, an upstream, assertions."""
