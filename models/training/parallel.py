"""One training step by several CPU threads: gradients, each of its own part of the batch, and independent updates.

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

        losses, (total, *others) = zip(*self.pool.map(work, shares))
        for gradients in others:
            torch._foreach_add_(total, gradients)
        torch._foreach_div_(total, len(losses))
        for parameter, gradient in zip(parameters, total):
            parameter.grad = gradient
        return torch.stack(losses).mean().item()

    def each(self, work, items):
        """Call work(item) for every item, in no order, and wait."""
        list(self.pool.map(work, items))
