"""Attention written out: for a few short heads torch's fused form is many times slower on a CPU."""

import torch


def attend(q, k, v, hidden=None):
    """softmax(q k^T / sqrt(head size)) v; `hidden` [queries, keys] is true where a query may not look."""
    scores = q @ k.mT * q.shape[-1] ** -0.5
    if hidden is not None:
        scores = scores.masked_fill(hidden, -torch.inf)
    return torch.softmax(scores, dim=-1).to(v.dtype) @ v
