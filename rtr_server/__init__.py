"""An RTR cache (RFC 6810, RFC 8210, draft-ietf-sidrops-8210bis): VRP files in, routers served."""
