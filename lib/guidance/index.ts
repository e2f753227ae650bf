// Guidance and denoiser: the stages between a network and a sampler.

export { denoiserFor, type Predict } from './denoiser.ts';
export {
  type Conditions,
  conditionsUsed,
  type Guidance,
  type Guided,
  guide,
  NO_GUIDANCE,
  type PredictEach,
} from './guide.ts';
