// Everything that the package exports.

// Its types name those of Node, so that whoever imports them gets those too, if they are installed (`@types/node`).
/// <reference types="node" preserve="true" />

export type { Run } from './async/run.ts';
export { type CannyOptions, canny } from './control/canny.ts';
export type { ControlOptions, Preprocessor } from './control/options.ts';
export { type Conversion, convert } from './convert/convert.ts';
export type {
  ConversionProgress,
  ConvertOptions,
} from './convert/options.ts';
export {
  type ArgumentError,
  type ArgumentErrorCode,
  type ArgumentProblem,
  DiffusionError,
  type DiffusionErrorCode,
} from './core/errors.ts';
export type { Logger } from './core/logger.ts';
export { EMBEDDED_MODEL } from './core/package-files.ts';
export {
  DepthEstimator,
  type DepthEstimatorInfo,
  type EstimateDepthOptions,
  type EstimateOptions,
  estimateDepth,
  loadDepthEstimator,
} from './depth/depth-estimator.ts';
export { DepthMap } from './depth/depth-map.ts';
export type { EmbeddingReport } from './embedding/load.ts';
export type { EmbeddingOption } from './embedding/options.ts';
export type { ControlParameters, GenerationParameters, OptionParameters } from './image/generation-parameters.ts';
export type { ImageInput } from './image/input.ts';
export type { RawImage } from './image/raw.ts';
export type { ResizeMode } from './image/resize.ts';
export type { LossyOptions, RgbImage } from './image/rgb-image.ts';
export { inspectModel, listDevices, listGpuLibraries } from './loading/inspect.ts';
export type { ComputeOptions, LoadOptions, Residency } from './loading/load-options.ts';
export type { ModelSource } from './loading/source.ts';
export { CONVERSION_TYPES, type ConversionType } from './loading/weight-types.ts';
export type { LoraOption, LoraTags } from './lora/options.ts';
export type { MemoryBudget } from './memory/budget.ts';
export type { MemoryPlan, Peak, PlannedMemory } from './memory/plan.ts';
export type { ImageMetadata } from './metadata/interpret.ts';
export { readMetadata } from './metadata/read-metadata.ts';
export { estimate } from './model/estimate.ts';
export { loadModel, type Model, type ModelInfo } from './model/model.ts';
export type {
  ConversionReport,
  ImageNetworkInfo,
  LoadedModelInfo,
  LoraFile,
  NativeComponent as Component,
  NativeDevice as Device,
  NativeInspection as Inspection,
  NativeLoraReport as LoraReport,
  NativeNoise as NoiseLevels,
  NativeProfileEntry as ProfileEntry,
  NativeProgress as LoadProgress,
  TextEncoderInfo,
} from './native/contract.ts';
export type { NativeModelInfo } from './native/deprecated.ts';
export type { GpuLibrary } from './native/gpu-libraries.ts';
export type { TileProgress } from './native/networks.ts';
export {
  type AncestralStep,
  DiffusionNoise,
  FlowLevels,
  FlowNoise,
  type FlowOptions,
  type NoiseModel,
  type PredictionType,
  type SigmaLevels,
  SigmaTable,
  stableDiffusionTable,
} from './noise-model/index.ts';
export type { MemoryEstimate, StageEstimate, WorkloadOptions } from './pipeline/estimate.ts';
export type { RngName } from './rng/index.ts';
export {
  type Denoiser,
  SAMPLERS,
  type Sampler,
  type SamplerContext,
  type SamplerEntry,
  type SamplerName,
  type SamplerStep,
} from './sampler/index.ts';
export { SCHEDULERS, type Schedule, type SchedulerName } from './schedule/index.ts';
export type { HiresUpscaler } from './task/hires-upscalers.ts';
export type { Convention, MaskedContent } from './task/image-rows.ts';
export type {
  Depth2ImgOptions,
  EditOptions,
  GenerationOptions,
  HiresOptions,
  ImageOptions,
  Img2ImgOptions,
  InpaintOptions,
  Txt2ImgOptions,
} from './task/options.ts';
export type { GenerationResult, GenerationStep, Timings } from './task/result.ts';
export type { PreviewKind } from './task/run-rows.ts';
export {
  loadUpscaler,
  type UpscaleOptions,
  type UpscaleProgress,
  Upscaler,
  type UpscalerInfo,
} from './upscaler/upscaler.ts';
