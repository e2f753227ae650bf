// Sizes of the tiny models that the tests write: one of each family, all with random weights.

/** A tiny model's sizes. Group norm has 32 groups, so every channel count is a multiple of 32. */
export interface TinyModelArchitecture {
  unet: TinyUnet;
  vae: { channels: number; channelMult: number[]; resBlocks: number };
  /** Absent where `text2` is all there is, as in the refiner of SDXL. */
  text?: TinyTextEncoder;
  /** Second text encoder, in OpenCLIP's names and with a projection. */
  text2?: TinyTextEncoder;
}

/** One entry of `channelMult`, `attention` and `depth` a level, the finest first. */
export interface TinyUnet {
  modelChannels: number;
  channelMult: number[];
  attention: boolean[];
  resBlocks: number;
  /** Blocks of a transformer. Default 1 each; `outputDepth` is for the way up, default `depth`. */
  depth?: number[];
  outputDepth?: number[];
  /** Heads of 64 and projections by matrices, as in SD 2 and SDXL; otherwise 8 heads and 1x1 convolutions. */
  linear?: boolean;
  /** Default 4. */
  inChannels?: number;
  /** Numbers added to the embedding of the timestep; default none. */
  vectorSize?: number;
  /** Size of an embedded guidance scale; default none. */
  guidanceSize?: number;
  /** What distilled UNets keep of the middle. Default all. */
  middle?: 'residual' | 'none';
  /** Blocks keep the numbers that a UNet with one more residual block a level gives them. */
  gaps?: boolean;
}

export interface TinyTextEncoder {
  /** Heads have 64 channels each. */
  width: number;
  layers: number;
  positions: number;
  /** In OpenCLIP's names. */
  openClip?: boolean;
}

const vae = { channels: 32, channelMult: [1, 2], resBlocks: 1 };
const positions = 77;

/** As Stable Diffusion 1. */
export const tinyArchitecture: TinyModelArchitecture = {
  unet: { modelChannels: 32, channelMult: [1, 2], attention: [true, false], resBlocks: 2 },
  vae: { channels: 32, channelMult: [1, 1, 2, 2], resBlocks: 2 },
  text: { width: 64, layers: 2, positions },
};

/** Other sizes wherever they may differ: three levels in the UNet, two in the VAE, two heads in the text encoder. */
export const deepArchitecture: TinyModelArchitecture = {
  unet: { modelChannels: 32, channelMult: [1, 2, 2], attention: [true, true, false], resBlocks: 1 },
  vae,
  text: { width: 128, layers: 3, positions },
};

/** As Stable Diffusion 2. */
export const sd2Architecture: TinyModelArchitecture = {
  unet: { modelChannels: 64, channelMult: [1, 2], attention: [true, false], resBlocks: 1, linear: true },
  vae,
  text: { width: 128, layers: 3, positions, openClip: true },
};

/** As SDXL. */
export const xlArchitecture: TinyModelArchitecture = {
  unet: {
    ...{ modelChannels: 64, channelMult: [1, 2], attention: [false, true], depth: [0, 2], resBlocks: 1, linear: true },
    vectorSize: 128 + 6 * 256,
  },
  vae,
  text: { width: 64, layers: 2, positions },
  text2: { width: 128, layers: 3, positions },
};

/** As the refiner of SDXL. */
export const refinerArchitecture: TinyModelArchitecture = {
  unet: {
    ...{ modelChannels: 64, channelMult: [1, 1], attention: [false, true], depth: [0, 2], resBlocks: 1, linear: true },
    vectorSize: 128 + 5 * 256,
  },
  vae,
  text2: { width: 128, layers: 2, positions },
};

/** As BK-SDM's tiny UNet: no middle, and blocks numbered as in its teacher. */
export const distilledArchitecture: TinyModelArchitecture = {
  unet: { ...deepArchitecture.unet, attention: [true, true, true], middle: 'none', gaps: true },
  vae,
  text: { width: 64, layers: 2, positions },
};

/** As SSD-1B: less of SDXL's middle, and fewer transformers on the way up. */
export const ssdArchitecture: TinyModelArchitecture = {
  ...xlArchitecture,
  unet: { ...xlArchitecture.unet, outputDepth: [0, 1], middle: 'residual' },
};

/** As LCM: the guidance scale is an input. */
export const lcmArchitecture: TinyModelArchitecture = {
  unet: { ...tinyArchitecture.unet, resBlocks: 1, guidanceSize: 256 },
  vae,
  text: { width: 64, layers: 2, positions },
};

/** As InstructPix2Pix. */
export const editArchitecture: TinyModelArchitecture = {
  unet: { ...tinyArchitecture.unet, resBlocks: 1, inChannels: 8 },
  vae,
  text: { width: 64, layers: 2, positions },
};

/** As the depth model of Stable Diffusion 2. */
export const depthArchitecture: TinyModelArchitecture = {
  ...sd2Architecture,
  unet: { ...sd2Architecture.unet, inChannels: 5 },
};

/** As the inpainting model of Stable Diffusion 1. */
export const inpaintArchitecture: TinyModelArchitecture = {
  unet: { ...tinyArchitecture.unet, resBlocks: 1, inChannels: 9 },
  vae,
  text: { width: 64, layers: 2, positions },
};
