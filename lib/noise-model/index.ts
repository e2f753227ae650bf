// Noise models: the noise that a network was trained to remove.

export { DiffusionNoise } from './diffusion.ts';
export { FlowLevels, FlowNoise, type FlowOptions } from './flow.ts';
export type { SigmaLevels } from './levels.ts';
export { type AncestralStep, type NoiseModel, PREDICTION_TYPES, type PredictionType } from './noise-model.ts';
export { SigmaTable, stableDiffusionTable, tableOf } from './sigma-table.ts';
