// The graph of nodes that ComfyUI writes into its images: what its sampler was given, as far as links lead there
// plainly.

import type { StatedValues } from '../task/stated.ts';
import { asObject, type JsonObject, own, scalar, scalarsOf } from './json.ts';
import type { Statement } from './statement.ts';

/** A node of the graph. */
interface Node {
  readonly type: string;
  readonly inputs: JsonObject;
}

/** How many links are followed after each other. */
const MAX_LINKS = 64;

/** What a sampler is given, by itself or by nodes of its own for noise, guidance, method and levels. */
const SAMPLER_INPUTS = ['steps', 'cfg', 'sampler_name', 'positive', 'negative', 'latent_image'];
const PARTS = ['noise', 'guider', 'sampler', 'sigmas'];
const PART_INPUTS = [
  ...['noise_seed', 'cfg', 'model', 'positive', 'negative', 'conditioning'],
  ...['sampler_name', 'scheduler', 'steps', 'denoise'],
];
/** Where a latent comes from. */
const LATENT_INPUTS = ['latent_image', 'samples', 'pixels', 'image'];

/** Nodes on the way to the model and the texts that change nothing which is not read. */
const PLAIN_NODES =
  /^(CLIPTextEncode(SDXL)?|CLIPSetLastLayer|LoraLoader.*|(Checkpoint|UNET|CLIP|VAE|DualCLIP).*Loader.*|Reroute)$/;

/** ComfyUI's `ddim` is Euler's method on whatever schedule is chosen. */
export function comfySampler(name: unknown): unknown {
  return name === 'ddim' ? 'euler' : name;
}

/** @param graph the nodes by their ids, each with its class and its inputs. Undefined where it holds no node. */
export function readComfyUi(raw: string, graph: JsonObject): Statement | undefined {
  const reader = new GraphReader(graph);
  if (reader.isEmpty) return undefined;
  const warnings: string[] = [];
  const sampler = reader.firstSampler(warnings);
  const { prompt, negativePrompt, ...values } = sampler ? reader.readSampler(sampler, warnings) : NOTHING;
  return {
    software: 'ComfyUI',
    raw,
    prompt,
    negativePrompt,
    values,
    fields: sampler ? scalarsOf(sampler.inputs) : {},
    warnings,
  };
}

type Read = StatedValues & { readonly prompt: string; readonly negativePrompt: string };
const NOTHING: Read = { prompt: '', negativePrompt: '' };

class GraphReader {
  readonly #nodes = new Map<string, Node>();
  readonly #wholes = new Map<Node, Node>();

  constructor(graph: JsonObject) {
    for (const [id, value] of Object.entries(graph)) {
      const type = own(asObject(value), 'class_type');
      const inputs = asObject(own(asObject(value), 'inputs'));
      if (typeof type === 'string' && inputs) this.#nodes.set(id, { type, inputs });
    }
  }

  get isEmpty(): boolean {
    return this.#nodes.size === 0;
  }

  /** The one sampler that no other comes before. */
  firstSampler(warnings: string[]): Node | undefined {
    const samplers = [...this.#nodes.values()].map((node) => this.#whole(node)).filter(isSampler);
    const first = samplers.filter(({ inputs }) => !this.#way(inputs, LATENT_INPUTS).some(isSampler));
    const one = first.length === 1 ? first[0] : undefined;
    const kinds = [...new Set(samplers.map(({ type }) => type))].join(', ');
    if (!one) warnings.push(`Its graph has ${first.length} samplers to begin with (${kinds}); none is read`);
    else if (samplers.length > 1) warnings.push(`Its graph has ${samplers.length} samplers; only the first is read`);
    return one;
  }

  readSampler({ inputs }: Node, warnings: string[]): Read {
    const value = (name: string) => this.#scalar(own(inputs, name), name);
    const [prompt, negativePrompt] = ['positive', 'negative'].map((side) => this.#text(inputs, side, warnings));
    const latents = this.#way(inputs, LATENT_INPUTS);
    const fromImage = latents.some((node) => own(node.inputs, 'pixels') !== undefined);
    const empty = latents.find((node) => own(node.inputs, 'width') !== undefined && !isSampler(node));
    const size = (side: string) => (fromImage ? undefined : this.#scalar(own(empty?.inputs, side), side));
    const steps = value('steps');
    const partly = Number(value('start_at_step')) > 0 || Number(value('end_at_step')) < Number(steps);
    if (partly || value('add_noise') === 'disable' || (!fromImage && Number(value('denoise')) < 1)) {
      warnings.push('Its sampler takes only a part of the steps, which is not followed here');
    }
    if (Number(size('batch_size')) > 1) {
      warnings.push('It was generated in a batch, whose images after the first have noise that no seed gives');
    }
    const { model } = this.#model(inputs, warnings);
    return {
      prompt: prompt ?? '',
      negativePrompt: negativePrompt ?? '',
      steps,
      cfgScale: value('cfg'),
      seed: value('seed') ?? value('noise_seed'),
      sampler: comfySampler(value('sampler_name')),
      scheduler: value('scheduler'),
      width: size('width'),
      height: size('height'),
      strength: fromImage ? (value('denoise') ?? 1) : undefined,
      clipSkip: this.#clipSkip(inputs),
      model,
      rng: 'cpu',
    };
  }

  /** A sampler with the inputs of the nodes that are parts of it; any other node as it is. */
  #whole(node: Node): Node {
    const known = this.#wholes.get(node);
    if (known) return known;
    const parts = PARTS.map((part) => this.#linked(own(node.inputs, part))).filter((part) => part !== undefined);
    const schedule = this.#linked(own(node.inputs, 'sigmas'))?.type;
    const inputs: Record<string, unknown> = { ...node.inputs, ...(schedule !== undefined && { scheduler: schedule }) };
    for (const part of parts) {
      for (const name of PART_INPUTS) if (own(part.inputs, name) !== undefined) inputs[name] = own(part.inputs, name);
    }
    const whole = parts.length === 0 ? node : { type: node.type, inputs };
    this.#wholes.set(node, whole);
    return whole;
  }

  /** The prompt that an input leads to. */
  #text(inputs: JsonObject, side: string, warnings: string[]): string | undefined {
    const way = this.#way(inputs, [side, 'conditioning']);
    const last = way.at(-1);
    const [text, other] = ['text', side, 'text_g', 'text_l']
      .map((name) => this.#scalar(own(last?.inputs, name), name))
      .filter((value) => value !== undefined);
    tellOthers(way, warnings);
    if (other !== undefined && other !== text) warnings.push(`Its text encoders have two ${side} prompts; one is read`);
    if (typeof text === 'string') return text;
    warnings.push(`Its ${side} prompt comes from ${last?.type ?? 'no node'}, where it is not found`);
    return undefined;
  }

  #model(inputs: JsonObject, warnings: string[]): { readonly model: unknown } {
    const way = this.#way(inputs, ['model']);
    const loras = way.map((node) => own(node.inputs, 'lora_name')).filter((name) => typeof name === 'string');
    if (loras.length > 0) {
      warnings.push(`The image was generated with LoRAs whose files must be given again: ${loras.join(', ')}`);
    }
    tellOthers(way, warnings);
    const last = way.at(-1)?.inputs;
    return { model: own(last, 'ckpt_name') ?? own(last, 'unet_name') };
  }

  /** ComfyUI counts layers from the end with -1. */
  #clipSkip(inputs: JsonObject): number | undefined {
    const encoder = this.#way(inputs, ['positive', 'conditioning']).at(-1);
    const layers = this.#way(encoder?.inputs ?? {}, ['clip']).map((node) => scalar(node.inputs, 'stop_at_clip_layer'));
    const layer = Number(layers.find((value) => value !== undefined));
    return layer < 0 ? -layer : undefined;
  }

  /** The nodes that the first of these inputs lead through. */
  #way(inputs: JsonObject, names: readonly string[]): Node[] {
    const next = (from: JsonObject) =>
      names.map((name) => this.#linked(own(from, name))).find((node) => node !== undefined);
    const nodes: Node[] = [];
    for (let node = next(inputs); node && nodes.length < MAX_LINKS; node = next(node.inputs))
      nodes.push(this.#whole(node));
    return nodes;
  }

  /** A value, or that of the node which a link leads to, under the same name or as the only one. */
  #scalar(value: unknown, name: string): unknown {
    let found = value;
    for (let links = 0; links < MAX_LINKS; links++) {
      const node = this.#linked(found);
      if (!node) break;
      const { inputs } = node;
      const only = Object.values(inputs).length === 1 ? Object.values(inputs)[0] : undefined;
      found = own(inputs, name) ?? own(inputs, 'value') ?? own(inputs, 'seed') ?? only;
    }
    return typeof found === 'object' ? undefined : found;
  }

  /** The node that a link `[id, output]` leads to. */
  #linked(value: unknown): Node | undefined {
    const [id, output] = Array.isArray(value) && value.length === 2 ? value : [];
    const isLink = (typeof id === 'string' || typeof id === 'number') && typeof output === 'number';
    return isLink ? this.#nodes.get(String(id)) : undefined;
  }
}

function isSampler({ inputs }: Node): boolean {
  return SAMPLER_INPUTS.every((name) => own(inputs, name) !== undefined);
}

function tellOthers(way: readonly Node[], warnings: string[]): void {
  const others = way.map(({ type }) => type).filter((type) => !PLAIN_NODES.test(type));
  if (others.length > 0)
    warnings.push(`Its graph has nodes that are not followed here: ${[...new Set(others)].join(', ')}`);
}
