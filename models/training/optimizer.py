"""Muon (Jordan et al. 2024) for weight matrices and convolution kernels, AdamW for the rest, one time-based schedule."""

from collections import defaultdict

import torch


def orthogonalize(matrices, steps=5):
    """Nearest semi-orthogonal matrix of each of [count, rows, columns]: quintic Newton-Schulz iteration of the paper."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.mT
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.mT).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum whose update, seen as a matrix [outputs, everything else], is orthogonalized."""

    def __init__(self, parameters, lr, workers, momentum=0.95, weight_decay=0.0):
        super().__init__(parameters, {'lr': lr, 'momentum': momentum, 'weight_decay': weight_decay})
        self.workers = workers

    def step(self):
        for group in self.param_groups:
            alike = defaultdict(list)  # weights of one matrix shape go through the iteration together, a few at a time
            for weight in group['params']:
                alike[weight.flatten(1).shape].append(weight)
            parts = [weights[i:i + 4] for weights in alike.values() for i in range(0, len(weights), 4)]
            self.workers.each(lambda weights: self.update(group, weights), parts)

    @torch.no_grad()
    def update(self, group, weights):
        directions = []
        for weight in weights:
            buffer = self.state[weight].setdefault('momentum', torch.zeros_like(weight))
            buffer.lerp_(weight.grad, 1 - group['momentum'])
            directions.append(torch.lerp(weight.grad, buffer, group['momentum']).flatten(1))
        # Root mean square of an update entry as in AdamW at the same rate (Liu et al. 2025, eq. 4).
        scale = 0.2 * max(directions[0].shape) ** 0.5
        for weight, update in zip(weights, orthogonalize(torch.stack(directions))):
            weight.mul_(1 - group['lr'] * group['weight_decay'])
            weight.add_(update.view(weight.shape), alpha=-group['lr'] * scale)


def make_optimizers(modules, lr, is_matrix, workers, weight_decay=0.0):
    """One Muon and one AdamW over all parameters of `modules`; `is_matrix(name, parameter)` picks Muon's share."""
    matrices, others = [], []
    for module in modules:
        for name, parameter in module.named_parameters():
            (matrices if is_matrix(name, parameter) else others).append(parameter)
    optimizers = [torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay)]
    if matrices:
        optimizers.append(Muon(matrices, lr=lr, workers=workers, weight_decay=weight_decay))
    return optimizers


def set_rate(optimizers, peak, progress, warmup=0.02, decay=0.5):
    """Trapezoid over `progress` 0..1: linear warm-up, plateau, linear fall to zero over the last `decay`."""
    rate = peak * min(1.0, progress / warmup + 1e-3, max(0.0, 1 - progress) / decay)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group['lr'] = rate
    return rate
