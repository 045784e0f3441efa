"""The kill rig: the real processes on the real parts, killed and cut while work flows, and a witness.

``make chaos``; what is done and what is looked at afterwards is told in docs/proof.md.
"""
