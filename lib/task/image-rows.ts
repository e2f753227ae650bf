// The options of tasks that start from an image.

import { DepthMap } from '../depth/depth-map.ts';
import { checkImage, type ImageInput } from '../image/input.ts';
import { DEFAULT_MAX_PIXELS, MAX_IMAGE_PIXELS } from '../image/limits.ts';
import { RESIZE_MODES, type ResizeMode } from '../image/resize.ts';
import { flag, number, oneOf, optionalNumber, type Rule, row, rule } from './row.ts';
import { FROM_IMAGE, WITH_STRENGTH } from './task.ts';

/** What the masked part of an image holds before noise is added: see {@link InpaintOptions.maskedContent}. */
export type MaskedContent = 'original' | 'fill' | 'noise' | 'nothing';

/** Whose image a seed gives where an image is the start: see {@link Img2ImgOptions.convention}. */
export type Convention = 'webui' | 'diffusers';

const MASKED_CONTENTS: readonly MaskedContent[] = ['original', 'fill', 'noise', 'nothing'];
const CONVENTIONS: readonly Convention[] = ['webui', 'diffusers'];
/** That of the programs that most images come from. */
export const DEFAULT_CONVENTION: Convention = 'webui';

const MAX_BLUR = 64;
const MAX_PADDING = 4096;

export const IMAGE_ROWS = {
  image: row({
    doc: 'The image to start from. What is transparent in it shows white.',
    rule: image(),
    tasks: FROM_IMAGE,
    required: true,
    flag: {
      name: 'init-img',
      alias: 'i',
      topic: 'image',
      common: true,
      also: ['upscale'],
      description: 'image to start from: PNG, JPEG or WebP',
    },
  }),
  strength: row({
    doc: `
      How much is regenerated, 0 to 1: the share of the steps that is taken, from the noise level at which they begin. 0
      takes none and gives the image as the VAE renders it; at 1 all steps are taken, and as the first noise level is
      high but finite, a trace of the image is left. Default 0.75. With a mask it is of what that covers, and the rest
      is still the image's at 1.`,
    rule: number(0.75, { min: 0, max: 1 }),
    tasks: WITH_STRENGTH,
    flag: {
      name: 'strength',
      topic: 'image',
      common: true,
      description: 'how much is regenerated, 0 to 1 (default: 0.75)',
    },
    metadata: { key: 'Denoising strength', always: true, type: '', parameters: (strength) => ({ strength }) },
  }),
  convention: row({
    doc: `
      Whose rules hold where an image is the start, so that a seed gives the image that it gives there. \`webui\`
      (default): AUTOMATIC1111's web UI and stable-diffusion.cpp. The noise is the seed's first draw, as for text alone,
      and the last \`floor(steps x strength) + 1\` steps are taken, at most all. What a mask leaves is kept after each
      evaluation. \`diffusers\`: the VAE's sample of the image is the first draw and the noise the next; the last
      \`floor(steps x strength)\` steps are taken, and at least one. Inpainting also keeps the rest before each
      evaluation, but not with models made for it, and starts from pure noise at a strength of 1.`,
    rule: oneOf('Convention', DEFAULT_CONVENTION, CONVENTIONS),
    tasks: WITH_STRENGTH,
    flag: {
      name: 'convention',
      topic: 'image',
      description: 'whose rules say what a seed and a strength give (default: webui)',
    },
    metadata: { key: 'Convention', type: 'string' },
  }),
  resizeMode: row({
    doc: `
      What becomes of an image of another size. \`fill\` (default) keeps its proportions and cuts off what goes over;
      \`fit\` keeps all of it and repeats its border around it; \`stretch\` changes its proportions; \`none\` refuses
      it. Images are scaled with Lanczos's filter.`,
    rule: oneOf<ResizeMode>('ResizeMode', 'fill', RESIZE_MODES),
    tasks: FROM_IMAGE,
    flag: {
      name: 'resize-mode',
      topic: 'image',
      description: 'what becomes of an image of another size (default: fill)',
    },
  }),
  maxPixels: row({
    doc: `
      Most pixels that an image which is given may have, 1 to 2^26. Default 2^25 (8K): a small file may claim to be a
      huge image, and reading one takes up to 12 bytes a pixel.`,
    rule: number(DEFAULT_MAX_PIXELS, { min: 1, max: MAX_IMAGE_PIXELS, integer: true }),
    flag: {
      name: 'max-pixels',
      topic: 'image',
      also: ['upscale', 'depth'],
      description: 'most pixels of an image that is read (default: 33554432)',
    },
  }),
  imageCfgScale: row({
    doc: `
      Guidance scale of the image (Brooks et al. 2022, eq. 3), in addition to \`cfgScale\` for the instruction: 1 is no
      guidance, more stays closer to the image. Finite, at least 0. Default 1.5. Where neither scale is 1 a step costs
      three network passes.`,
    rule: number(1.5, { min: 0 }),
    tasks: ['edit'],
    flag: {
      name: 'img-cfg-scale',
      topic: 'image',
      common: true,
      description: 'guidance scale of the image (default: 1.5)',
    },
    metadata: { key: 'Image CFG scale', always: true },
  }),
  depth: row({
    doc: `
      How near everything in \`image\` is: a {@link DepthMap}, or an image in which white is near and black is far. One
      of another size is stretched to that of \`image\`. Default: it is estimated by the network that the model
      includes, or by \`depthModel\` of its source.`,
    rule: rule<ImageInput | DepthMap, ImageInput | DepthMap | undefined>(
      'ImageInput | DepthMap',
      ({ check, of }, name) => {
        const depth = check.value(name);
        return depth === undefined || DepthMap.is(depth) ? depth : checkImage(check, name, of('maxPixels'));
      },
    ),
    tasks: ['depth2img'],
    flag: {
      name: 'depth',
      topic: 'image',
      common: true,
      description: 'image in which near is white (default: estimated)',
    },
  }),
  mask: row({
    doc: `
      What to regenerate: white is regenerated, black stays, gray is blended. Colors count by their luma, what is
      transparent counts as black. A mask of another size is stretched to that of the image.`,
    rule: image(),
    tasks: ['inpaint'],
    required: true,
    flag: { name: 'mask', topic: 'image', common: true, description: 'image that is white where to regenerate' },
  }),
  maskBlur: row({
    doc: `
      Softness of the mask's edge: standard deviation of a Gaussian blur in pixels of \`image\`, 0 to 64. Default 0,
      which leaves every pixel outside the mask as it is.`,
    rule: number(0, { min: 0, max: MAX_BLUR }),
    tasks: ['inpaint'],
    flag: {
      name: 'mask-blur',
      topic: 'image',
      common: true,
      description: 'softness of its edge in pixels (default: 0)',
    },
    metadata: { key: 'Mask blur' },
  }),
  invertMask: row({
    doc: 'Whether black is regenerated and white stays. Default false.',
    rule: flag(),
    tasks: ['inpaint'],
    flag: { name: 'invert-mask', topic: 'image', common: true, description: 'regenerate where the mask is black' },
  }),
  maskedContent: row({
    doc: `
      What the masked part holds before noise is added: the image itself (\`original\`, default), the colours around it
      (\`fill\`), noise (\`noise\`) or zeros (\`nothing\`) in the latent. By diffusers' convention it has no effect at a
      strength of 1.`,
    rule: oneOf('MaskedContent', 'original', MASKED_CONTENTS),
    tasks: ['inpaint'],
    flag: {
      name: 'masked-content',
      topic: 'image',
      description: 'what the masked part starts from (default: original)',
    },
    metadata: { key: 'Masked content', always: true, type: 'string' },
  }),
  paddingMaskCrop: row({
    doc: `
      Generates the masked region alone, at \`width\` x \`height\` (default: the model's), and puts it back into the
      image, which keeps its own size; \`resizeMode\` has no effect. The number is how many pixels of \`image\` around
      the mask are included, 0 to 4096. Default: the whole image is generated.`,
    rule: optionalNumber({ min: 0, max: MAX_PADDING, integer: true }),
    tasks: ['inpaint'],
    flag: {
      name: 'padding-mask-crop',
      topic: 'image',
      description: 'generate the masked region alone, at the full size, with that many pixels around it',
    },
    metadata: {
      key: 'Masked area padding',
      write: ({ paddingMaskCrop: padding }) => ({
        'Inpaint area': padding === undefined ? undefined : 'Only masked',
        'Masked area padding': padding === undefined ? undefined : String(padding),
      }),
    },
  }),
};

function image(): Rule<ImageInput, ImageInput> {
  return rule('ImageInput', ({ check, of }, name) => checkImage(check, name, of('maxPixels')));
}
