// What the native addon converts, a part of its contract.

/** What weights are converted to. */
export interface NativeTypes {
  /** Name of a type; empty to keep the types of the source. */
  readonly type: string;
  /** Other types for tensors whose names match an ECMAScript regular expression. */
  readonly rules: readonly { readonly pattern: string; readonly type: string }[];
}

/** Options of a conversion, all required. */
export interface NativeConvertOptions extends NativeTypes {
  /** The final path of the file, for messages; it must not be a file of the source. */
  readonly output: string;
  /** The path to write to. An existing file is overwritten; a failed conversion leaves an incomplete file. */
  readonly temporary: string;
  readonly format: 'gguf' | 'safetensors';
  readonly keepConvolutions: boolean;
  /** Added to the metadata of the source. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly threads: number;
}

/** The result of a conversion. */
export interface ConversionReport {
  /** Number of tensors in the file, and its size. */
  readonly tensors: number;
  readonly bytes: number;
  /** Number of tensors per type. */
  readonly types: Readonly<Record<string, number>>;
}
