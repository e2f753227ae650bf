// Guidance and prediction types: what stands between a network and a sampler.

export {
  type Conditions,
  conditionsUsed,
  type Guidance,
  guide,
  NO_GUIDANCE,
  type PredictEach,
} from './guide.ts';
export { denoiserFor, PREDICTION_TYPES, type Predict, type PredictionType } from './prediction.ts';
