"""Time used, checkpoints and the log of a training run: what makes it resumable."""

import copy
import json
import os
import time

import torch


class Run:
    """A training run of `minutes` in `folder`: state.pt holds everything to go on, log.jsonl one line a report.

    On the CPU time is processor time per thread, so that a busy machine stretches a run but does not cut it short.
    """

    def __init__(self, folder, minutes, threads, device, save_every=120.0):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.seconds, self.threads, self.save_every = folder, minutes * 60, threads, save_every
        self.device = device
        self.step, self.before, self.started, self.saved = 0, 0.0, self.clock(), time.monotonic()

    def clock(self):
        return time.monotonic() if self.device == 'cuda' else time.process_time() / self.threads

    @property
    def elapsed(self):
        """Seconds of training, earlier starts included."""
        return self.before + self.clock() - self.started

    @property
    def progress(self):
        """0 at the start, 1 when the time is used up."""
        return min(1.0, self.elapsed / self.seconds)

    def resume(self, parts):
        """Load state.pt, when there is one, into `parts` (name -> object with load_state_dict)."""
        path = self.folder / 'state.pt'
        if path.exists():
            state = torch.load(path, map_location='cpu', weights_only=True)
            for name, part in parts.items():
                part.load_state_dict(state[name])
            self.step, self.before = state['step'], state['elapsed']

    def save(self, parts, config, force=False):
        """Write state.pt, at most every `save_every` seconds; never leaves a half-written file."""
        if not force and time.monotonic() - self.saved < self.save_every:
            return False
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save({**state, 'config': config, 'step': self.step, 'elapsed': self.elapsed}, self.folder / 'state.tmp')
        os.replace(self.folder / 'state.tmp', self.folder / 'state.pt')
        self.saved = time.monotonic()
        return True

    def log(self, **figures):
        line = json.dumps({'step': self.step, 'seconds': round(self.elapsed), **figures})
        print(line, flush=True)
        with open(self.folder / 'log.jsonl', 'a', encoding='utf-8') as file:
            file.write(line + '\n')


class Average(torch.nn.Module):
    """Exponential moving average of a module's parameters, as a module; the decay grows with the steps up to `decay`."""

    def __init__(self, module, decay=0.999):
        super().__init__()
        self.decay = decay
        self.module = copy.deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), 1 - decay)
