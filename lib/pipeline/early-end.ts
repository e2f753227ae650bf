// Ends sampling early with the image so far: the latent that the last finished step takes the image to be.

import { createAbortController, follow, onAbort, untilAborted } from '../async/abort.ts';

/** What sampling returns. */
export interface Sampled {
  /** Free of noise. */
  readonly latent: Float32Array;
  /** Whether steps were left out. */
  readonly early: boolean;
}

/** What an evaluation that is given up rejects with. */
const GIVEN_UP = new DOMException('The run was finished early', 'AbortError');

/** Waits for sampling, until it is asked to finish early and there is an image. */
export class EarlyEnd {
  readonly #run: AbortSignal;
  readonly #finishing: AbortSignal;
  readonly #controller = createAbortController();
  #latent: Float32Array | undefined;

  /**
   * @param run ends everything, with its reason.
   * @param finishing asks for an early end.
   * @param latent that there is before the first step, if any.
   */
  constructor(run: AbortSignal, finishing: AbortSignal, latent?: Float32Array) {
    this.#run = run;
    this.#finishing = finishing;
    this.#latent = latent;
  }

  /** Ends evaluations, whether the run ends or finishes early. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Notes that a step is finished. @param isLast no step is left that could be left out. */
  reached(denoised: Float32Array, isLast: boolean): void {
    this.#latent = isLast ? undefined : denoised.slice();
    this.#endIfAsked();
  }

  /**
   * @param sample begins sampling, which may never end on its own: samplers and callbacks may be the user's.
   * @throws the reason of the run's signal once that has fired.
   */
  async settle(sample: () => Promise<Float32Array>): Promise<Sampled> {
    const unfollow = follow(this.#controller, [this.#run]);
    const stop = onAbort(this.#finishing, () => this.#endIfAsked());
    try {
      return { latent: await untilAborted(sample(), this.signal), early: false };
    } catch (error) {
      if (error !== GIVEN_UP || !this.#latent) throw error;
      return { latent: this.#latent, early: true };
    } finally {
      stop();
      unfollow();
    }
  }

  #endIfAsked(): void {
    if (this.#latent && this.#finishing.aborted) this.#controller.abort(GIVEN_UP);
  }
}
