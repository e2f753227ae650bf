// The text system of a language model: a prompt in a chat template, of which the hidden states are the conditioning.

import { throwIfAborted } from '../async/abort.ts';
import { DiffusionError } from '../core/errors.ts';
import { warn } from '../core/warnings.ts';
import type { Guided } from '../guidance/index.ts';
import type { FoundLora } from '../lora/files.ts';
import type { LoadedModelInfo, TextEncoderInfo } from '../native/contract.ts';
import type { Networks } from '../native/networks.ts';
import { BpeTokenizer } from '../text/bpe-tokenizer.ts';
import { qwenVocabulary } from '../text/qwen-vocabulary.ts';
import type { PromptTexts, TextConditioning, TextModel, TextSystem, TokenizedTexts } from './text-system.ts';

/** A piece of a template: a control token, or text. */
type Piece = number | string;

/** What stands around a prompt. A prompt is text: it cannot say a control token, so it cannot end its turn. */
export interface ChatTemplate {
  /** Ends with text, with which the prompt is tokenized. */
  before(control: (name: string) => number): readonly Piece[];
  after(control: (name: string) => number): readonly Piece[];
  /** What is beyond is cut off, as the models were trained. */
  readonly mostTokens: number;
}

/** The text system of a family whose text encoder is a Qwen. */
export function languageModel(template: ChatTemplate): TextSystem {
  return {
    async open(_, __, info) {
      const tokenizer = new BpeTokenizer(await qwenVocabulary());
      return new LanguageModelText(encoderOf(info, tokenizer.size), tokenizer, template);
    },
  };
}

/** Texts whose hidden states are kept, so that the same prompt need not be encoded again. */
const MOST_KEPT = 16;

class LanguageModelText implements TextModel {
  readonly #encoder: TextEncoderInfo;
  readonly #tokenizer: BpeTokenizer;
  readonly #template: ChatTemplate;
  /** By tokens and LoRAs, the least recently used first. */
  readonly #kept = new Map<string, TextConditioning>();

  constructor(encoder: TextEncoderInfo, tokenizer: BpeTokenizer, template: ChatTemplate) {
    this.#encoder = encoder;
    this.#tokenizer = tokenizer;
    this.#template = template;
  }

  async tokenize(
    { stages, used }: PromptTexts,
    _options: unknown,
    loras: readonly FoundLora[],
    signal: AbortSignal,
  ): Promise<TokenizedTexts> {
    const tokens = new Map<string, readonly number[]>();
    for (const { conditional, unconditional } of stages) {
      for (const { text } of [
        ...(used.conditional ? [conditional] : []),
        ...(used.unconditional ? [unconditional] : []),
      ]) {
        if (!tokens.has(text)) tokens.set(text, await this.#tokensOf(text));
        throwIfAborted(signal);
      }
    }
    return {
      embeddings: [],
      encode: async (networks) => {
        const encoded = new Map<string, TextConditioning>();
        for (const [text, own] of tokens) encoded.set(text, await this.#encode(networks, own, loras));
        return (stage) => {
          const { conditional, unconditional } = stages[stage] as Guided<{ readonly text: string }>;
          const [one, other] = [encoded.get(conditional.text), encoded.get(unconditional.text)];
          // One that no step is conditioned on is not encoded.
          return { conditional: (one ?? other) as TextConditioning, unconditional: (other ?? one) as TextConditioning };
        };
      },
    };
  }

  async #tokensOf(prompt: string): Promise<readonly number[]> {
    const { before, after, mostTokens } = this.#template;
    const control = (name: string) => this.#tokenizer.control(name);
    const pieces = [...before(control)];
    const start = pieces.pop() as string;
    const tokens: number[] = [];
    for (const piece of [...pieces, start + prompt, ...after(control)]) {
      if (typeof piece === 'number') tokens.push(piece);
      else for (const token of await this.#tokenizer.encode(piece)) tokens.push(token);
    }
    if (tokens.length <= mostTokens) return tokens;
    warn(`A prompt has ${tokens.length} tokens with its template; the model sees the first ${mostTokens} of them`);
    return tokens.slice(0, mostTokens);
  }

  async #encode(networks: Networks, tokens: readonly number[], loras: readonly FoundLora[]): Promise<TextConditioning> {
    const key = JSON.stringify([tokens, loras]);
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    const encoded = kept ?? (await this.#evaluate(networks, tokens));
    this.#kept.set(key, encoded);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MOST_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    return encoded;
  }

  async #evaluate(networks: Networks, tokens: readonly number[]): Promise<TextConditioning> {
    const inputs = { tokens: { data: Int32Array.from(tokens), shape: [1, tokens.length] } };
    const { hidden } = await networks.encodeText(this.#encoder.component, inputs, {});
    return { context: hidden as Float32Array, tokens: tokens.length, pooled: new Float32Array() };
  }
}

/** @throws DiffusionError `ERR_MODEL_UNSUPPORTED` for a language model with a smaller vocabulary: another one. */
function encoderOf({ textEncoders }: LoadedModelInfo, tokens: number): TextEncoderInfo {
  const encoder = textEncoders[0] as TextEncoderInfo;
  if (encoder.vocabulary >= tokens) return encoder;
  const expected = `a language model with the ${tokens} tokens of Qwen3`;
  throw new DiffusionError('ERR_MODEL_UNSUPPORTED', `Expected ${expected} but the model's has ${encoder.vocabulary}`);
}
