// Noise models: what a network was trained to take away.

export { DiffusionNoise } from './diffusion.ts';
export { FlowLevels, FlowNoise, type FlowOptions } from './flow.ts';
export type { SigmaLevels } from './levels.ts';
export { type AncestralStep, type NoiseModel, PREDICTION_TYPES, type PredictionType } from './noise-model.ts';
export { SigmaTable, stableDiffusionTable, tableOf } from './sigma-table.ts';
