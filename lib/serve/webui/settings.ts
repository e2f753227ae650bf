// The settings of the web UI that clients change: each has its own.

/** What a client has chosen for its later requests. */
export interface ClientSettings {
  readonly model?: string | undefined;
  readonly vae?: string | undefined;
  readonly clipSkip?: number | undefined;
}

/** Clients whose settings are kept; those that have not asked for longest lose theirs. */
const MOST = 1000;

export class Settings {
  readonly #all = new Map<string, ClientSettings>();

  of(client: string): ClientSettings {
    return this.#all.get(client) ?? {};
  }

  set(client: string, settings: ClientSettings): void {
    this.#all.delete(client);
    this.#all.set(client, settings);
    if (this.#all.size > MOST) this.#all.delete([...this.#all.keys()][0] as string);
  }
}
