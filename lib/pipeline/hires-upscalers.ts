// What enlarges between two passes without a file of its own.

/** Upscalers that need no file. */
export type HiresUpscaler = 'latent' | 'latent-nearest' | 'latent-bicubic' | 'lanczos';

/** The names in the order in which they are listed to users. */
export const HIRES_UPSCALERS: readonly HiresUpscaler[] = ['latent', 'latent-nearest', 'latent-bicubic', 'lanczos'];
