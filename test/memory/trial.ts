// What the sweep of failing allocations (sweep.ts) tries.

/** A call on trial: `prepare` makes what it is called on, anew for each allocation that fails. */
export interface Trial<T> {
  readonly name: string;
  readonly prepare: () => Promise<T>;
  /** Bytes that must be the same each time. */
  readonly call: (subject: T) => Promise<Float32Array | Uint8Array> | Float32Array | Uint8Array;
  readonly end: (subject: T) => Promise<void>;
}

export const trial = <T>(value: Trial<T>): Trial<unknown> => value as Trial<unknown>;
