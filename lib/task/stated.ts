// What a text says of the options that made an image, before anything of it is checked.

/** A number, its text, or whatever else the file has, by the name of the option. Undefined if it is not stated. */
export interface StatedValues {
  readonly [option: string]: unknown;
  /** Noise levels instead of a schedule. */
  readonly sigmas?: readonly unknown[] | undefined;
  readonly tileable?: boolean | 'x' | 'y' | undefined;
  /** A second pass; of the scale and the sides those that are stated. */
  readonly hires?: { readonly [part in 'scale' | 'width' | 'height' | 'steps' | 'upscaler']?: unknown } | undefined;
}

/** The `key: value` pairs of a text in the format of AUTOMATIC1111's web UI. */
export type Fields = Readonly<Record<string, string>>;

/** The parts of a list. */
export function listOf(text: string | undefined): string[] | undefined {
  return text?.split(',').map((part) => part.trim());
}

/** Two values; undefined if there are more or fewer. */
export function pairOf(text: string | undefined, separator: string): readonly [string, string] | undefined {
  const parts = text?.split(separator).map((part) => part.trim());
  return parts?.length === 2 ? (parts as unknown as readonly [string, string]) : undefined;
}

/** The name that a value is; undefined for an empty one. */
export function nameOf(value: unknown): string | undefined {
  return value === undefined || value === null || value === '' ? undefined : String(value);
}
