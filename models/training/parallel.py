"""Gradients of one step by several CPU threads, each on its own part of the batch.

Operations as small as ours gain little from threads inside one operation, the more so on a busy machine; here
the threads meet once a step.
"""

from concurrent.futures import ThreadPoolExecutor

import torch


class Workers:
    """`count` threads, each computing with one thread inside operations; on a GPU only one."""

    def __init__(self, count, device):
        torch.set_num_threads(1)
        self.count = count = count if device == 'cpu' else 1
        self.pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    def backward(self, loss_of, shares, parameters):
        """Mean loss over the shares (equal in size); sets the parameters' gradients to those of this mean."""
        parameters = list(parameters)

        def work(share):
            loss = loss_of(share)
            return loss.detach(), torch.autograd.grad(loss, parameters)

        losses, gradients = zip(*self.pool.map(work, shares))
        for parameter, *parts in zip(parameters, *gradients):
            parameter.grad = torch.stack(parts).mean(0) if len(parts) > 1 else parts[0]
        return torch.stack(losses).mean().item()
