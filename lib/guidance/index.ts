// Guidance and prediction types: what stands between a network and a sampler.

export { classifierFreeGuidance, type PredictEach } from './cfg.ts';
export { type EditConditions, editGuidance } from './edit.ts';
export { denoiserFor, PREDICTION_TYPES, type Predict, type PredictionType } from './prediction.ts';
